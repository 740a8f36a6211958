"""Run an experiment: ``python run.py experiment=lorenz``. ``--help`` lists the choices."""

from eqflow.cli import main

if __name__ == "__main__":
    main()
