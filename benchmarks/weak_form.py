"""Time and memory of a library fit: against the number of snapshots, dimension and library size.

    python benchmarks/weak_form.py                     # fits, and a pass over a million snapshots
    python benchmarks/weak_form.py --stream 10000000   # a longer pass

The pass is compared, in turn on the same batches, with the bare products it consists of. A fit is
the whole of it: degree by the test, elimination, spectrum, bootstrap, orientation; selection alone
is beside it. Peak memory is that of the process so far.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from eqflow.discovery import Discovery  # noqa: E402
from eqflow.fields import Library  # noqa: E402
from eqflow.snapshots import Standardiser  # noqa: E402
from eqflow.stationarity import select  # noqa: E402
from eqflow.systems import Lorenz63  # noqa: E402

BATCH = 8192


def lorenz(n: int, dim: int = 3) -> Tensor:
    """Shuffled states of Lorenz-63, beside rotations of a Gaussian if ``dim`` is larger."""
    draw = torch.Generator().manual_seed(0)
    x = Lorenz63().sample(n, seed=0).states[torch.randperm(n, generator=draw)]
    return torch.cat([x, torch.randn(n, dim - 3, generator=draw, dtype=torch.double)], dim=1)


def discovery(x: Tensor, degree: int | str = "auto") -> Discovery:
    """The fit of a library to raw states, not yet run."""
    units = Standardiser.of(x)
    return Discovery(Library((x.shape[1],), degree), units.standard(x), units)


def peak() -> float:
    """Largest memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fit(n: int, dim: int, degree: int | str) -> None:
    """Print a row of the table of fits."""
    x = lorenz(n, dim)
    discovery(x[:1000], 1).run()  # imports
    started = time.perf_counter()
    found = discovery(x, degree)
    trial = found._trial(0.0)
    law = select(trial, found.libraries)[-1][1]
    selected = time.perf_counter() - started
    started = time.perf_counter()
    found.run()
    whole = time.perf_counter() - started
    print(
        f"| {n} | {dim} | {degree} | {len(law.found.xi)} | {selected:.1f} | {whole:.1f} "
        f"| {peak():.0f} |",
        flush=True,
    )


def stream(total: int) -> None:
    """Print how a pass compares with its bare products."""
    found = discovery(lorenz(30_000), 2)
    batch = found.sample.z[:BATCH]
    w, b, terms = found.functions.frequencies, found.functions.phases, found.field
    before, ours, bare = peak(), 0.0, 0.0
    tested, gram = 0.0, 0.0
    for _ in range(-(-total // BATCH)):
        started = time.perf_counter()
        part = found.sums(batch)
        tested, gram = tested + part.tested, gram + part.gram
        ours += time.perf_counter() - started
        started = time.perf_counter()
        theta = terms.theta(batch)
        torch.sin(batch @ w.T + b).T @ theta, theta.T @ theta
        bare += time.perf_counter() - started
    print(
        f"{total} snapshots, {len(b)} functions, {theta.shape[1]} terms: {ours:.1f} s, bare "
        f"products {bare:.1f} s, ratio {bare / ours:.2f}; memory {before:.0f} -> {peak():.0f} MiB"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stream", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    stream(args.stream)
    print("\n| N | d | degree | unknowns | selection, s | whole fit, s | peak, MiB |")
    print("|---|---|---|---|---|---|---|")
    for n in (1000, 3000, 24_000, 100_000):
        fit(n, 3, "auto")
    for degree in (2, 3):
        fit(24_000, 3, degree)
    for dim in (4, 6):
        fit(24_000, dim, 2)


if __name__ == "__main__":
    main()
