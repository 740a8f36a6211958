"""``python -m eqflow``: the command line."""

from eqflow.cli import main

if __name__ == "__main__":
    main()
