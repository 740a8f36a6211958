"""Fit one model of stadion; `stadion_comparison.py` runs it in an environment of its own.

    python benchmarks/stadion_worker.py FOLDER MODEL SEED OPTIONS

Reads `train.npy` and `test.npy` in the folder and writes `drift.npy`, the drift at the test states,
`diffusion.npy`, the diagonal of `D` in `dx = f dt + sqrt(2 D) dW`, and `numbers.npy`: the CPU
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
    train, test = (
        np.load(Path(folder, f"{part}.npy"), allow_pickle=False) for part in ("train", "test")
    )
    started = time.process_time()
    model = getattr(models, name)().fit(random.PRNGKey(int(seed)), train, verbose=0, **options)
    seconds = time.process_time() - started
    kernel = partial(rbf_kernel, bandwidth=options.get("bandwidth", BANDWIDTH))
    objective = kds_loss(model.f, model.sigma, kernel, estimator="u-statistic")
    sigma = np.diag(model.sigma(test[0], model.param, None))
    results = {
        "drift": model.f(test, model.param, None),
        "diffusion": sigma**2 / 2,
        "numbers": [seconds, objective(test[:STATES], model.param, None)],
    }
    for part, values in results.items():
        np.save(Path(folder, f"{part}.npy"), np.asarray(values), allow_pickle=False)


if __name__ == "__main__":
    main()
