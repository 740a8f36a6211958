"""Fit one model of stadion; `stadion_comparison.py` runs it in an environment of its own.

    python benchmarks/stadion_worker.py FOLDER MODEL SEED OPTIONS

Reads `train` and `test` of `data.npz` in the folder and writes `fit.npz`: `drift` at the test
states, `diffusion`, the diagonal of `D` in `dx = f dt + sqrt(2 D) dW`, and `numbers`, the CPU
seconds of the fit and the objective over all pairs of `STATES` test states. OPTIONS are those of
`fit`, as JSON. One fit a process: a second one trips over what JAX keeps of the first.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from jax import random
from stadion import kds_loss, models
from stadion.inference import rbf_kernel

STATES = 500
BANDWIDTH = 5.0
"""The default of `fit`."""


def main() -> None:
    folder, name, seed, text = sys.argv[1:]
    options = json.loads(text)
    with np.load(Path(folder, "data.npz")) as data:
        train, test = data["train"], data["test"]
    started = time.process_time()
    model = getattr(models, name)().fit(random.PRNGKey(int(seed)), train, verbose=0, **options)
    seconds = time.process_time() - started
    kernel = partial(rbf_kernel, bandwidth=options.get("bandwidth", BANDWIDTH))
    objective = kds_loss(model.f, model.sigma, kernel, estimator="u-statistic")
    sigma = np.diag(model.sigma(test[0], model.param, None))
    numbers = [seconds, objective(test[:STATES], model.param, None)]
    drift = model.f(test, model.param, None)
    np.savez(Path(folder, "fit.npz"), drift=drift, diffusion=sigma**2 / 2, numbers=numbers)


if __name__ == "__main__":
    main()
