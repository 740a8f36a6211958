"""The only road to a number: one field, one protocol, one flat dictionary.

Callbacks pass a light protocol, the evaluate stage the full one, nulls go through the same call.
Names and definitions are those of METHOD section 8; everything is in standardised units, times in
transit times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from eqflow.errors import InputError
from eqflow.fields import VelocityField, build_field
from eqflow.metrics import (
    MMD2,
    Cosine,
    Escaped,
    RelativeResidual,
    SinkhornDivergence,
    SlicedW2,
    median_bandwidth,
    mmd2_splits,
    sinkhorn_divergence,
    sliced_w2,
)
from eqflow.processes import Stream, generator, normal, rows
from eqflow.score import EmpiricalScore, Score
from eqflow.simulate import Integrator
from eqflow.snapshots import Snapshots, remembered
from eqflow.stationarity import (
    MAX_EXACT_DIM,
    FourierFunctions,
    hotelling,
    rademacher,
    strong_moments,
)

HEADLINE = 10.0
"""Transit times after which the headline ``preservation/mmd2_ratio`` is taken."""


MIN_UNITS = 50
"""Fewest held-out states that the test of stationarity takes."""


@dataclass(frozen=True)
class Protocol:
    """What is measured, and with how many states.

    ``horizons`` in transit times; ``starts`` simulated states, compared with as many others;
    ``splits`` random splits for the resampling floor; ``transport`` adds sliced Wasserstein-2 and
    Sinkhorn at the headline horizon, the latter with 256 states and 50 splits.
    """

    horizons: Sequence[float | int] = (1, 2, 5, 10, 20, 50, 100)
    starts: int = 1000
    splits: int = 200
    transport: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizons", tuple(sorted({float(h) for h in self.horizons})))
        if not self.horizons or not 0 < self.horizons[0] <= self.horizons[-1] < inf:
            raise InputError(f"protocol.horizons={[*self.horizons]}: expected times > 0")
        if self.starts < 2 or self.splits < 1:
            raise InputError(
                f"protocol.starts={self.starts}, protocol.splits={self.splits}: "
                "expected at least 2 starts and 1 split"
            )

    @property
    def headline(self) -> float:
        """The headline horizon, or the last one if the protocol is shorter."""
        return HEADLINE if HEADLINE in self.horizons else self.horizons[-1]


@torch.no_grad()
def evaluate(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol = Protocol(),
) -> dict[str, float]:
    """Preservation, residual and, where the true velocity is known, similarity of a field.

    ``sigma`` is the noise level the field lives at: it starts from, and is compared with, held-out
    states noised at it. Called by every process alike, it returns the same numbers to each.
    """
    return {
        **preservation(field, score, snapshots, integrator, sigma, protocol),
        **(residuals(field, score, snapshots, sigma, protocol) if sigma else {}),
        **stationarity(field, snapshots, sigma, protocol),
        **similarity(field, snapshots, sigma, protocol),
    }


@remembered
def held_out(
    snapshots: Snapshots, sigma: float, protocol: Protocol
) -> tuple[Float[Tensor, "n *shape"], Float[Tensor, "n *shape"]]:
    """States to start from and states to compare with: two halves of the noised test split."""
    n = min(protocol.starts, len(snapshots.test) // 2)
    x = snapshots.test[: 2 * n]
    x = x + sigma * _noise(x, protocol.seed, Stream.HELD_OUT)
    return x[:n], x[n:]


def preservation(
    field: VelocityField,
    score: Score,
    snapshots: Snapshots,
    integrator: Integrator,
    sigma: float,
    protocol: Protocol,
) -> dict[str, float]:
    """Distance of simulated from held-out states at every horizon, beside the resampling floor."""
    starts, reference = held_out(snapshots, sigma, protocol)
    mine, radius = rows(len(starts)), escape_radius(snapshots, sigma)
    times = torch.tensor([0.0, *protocol.horizons], device=starts.device)

    def noise(step: int) -> Tensor:
        return normal(starts[mine], len(starts), protocol.seed, Stream.SIMULATION, step)

    path = integrator(field, starts[mine], times, partial(score, sigma=sigma), noise)
    at = dict(zip(protocol.horizons, path[1:], strict=True))

    def measure(metric: Metric, horizon: float) -> float:
        metric = metric.to(starts.device)
        states = (at[horizon],) if isinstance(metric, Escaped) else (at[horizon], reference[mine])
        metric.update(*states)
        return metric.compute().item()

    bandwidth = main_bandwidth(snapshots, sigma, protocol)
    floor = resampling_floor(snapshots, sigma, protocol)
    ratios = {h: measure(MMD2(radius, bandwidth), h) / floor["mmd2_floor95"] for h in at}
    head = protocol.headline
    numbers = {f"mmd2_ratio_h{h:g}": ratio for h, ratio in ratios.items()}
    numbers |= {f"escaped_h{h:g}": measure(Escaped(radius), h) for h in at}
    numbers |= {"mmd2_ratio": ratios[head], "escaped": numbers[f"escaped_h{head:g}"]}
    for name, h in bandwidths(snapshots, sigma, protocol).items():
        numbers[f"mmd2_{name}"] = measure(MMD2(radius, h), head)
    if protocol.transport:
        numbers["sw2"] = measure(SlicedW2(radius), head)
        numbers["sinkhorn"] = measure(SinkhornDivergence(radius), head)
    numbers |= floor | {"sigma": sigma}
    # transport is NaN when every state escaped
    return {f"preservation/{name}": value for name, value in numbers.items() if value == value}


@remembered
def resampling_floor(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """What two samples of the same law read: mean and 95th percentile over random splits."""
    states = torch.cat(held_out(snapshots, sigma, protocol))
    n, splits = len(states) // 2, protocol.splits
    draw = generator(protocol.seed, Stream.FLOOR)
    orders = [torch.randperm(2 * n, generator=draw).to(states.device) for _ in range(splits)]
    first = torch.stack([order < n for order in orders], dim=1)
    null = {"mmd2": mmd2_splits(states, main_bandwidth(snapshots, sigma, protocol), first)}
    if protocol.transport:
        halves = [states[order].split(n) for order in orders]
        null["sw2"] = torch.stack([sliced_w2(x, y) for x, y in halves])
        few = [(x[:256], y[:256]) for x, y in halves[:50]]
        null["sinkhorn"] = torch.stack([sinkhorn_divergence(x, y) for x, y in few])
    return {f"{name}_floor": draws.mean().item() for name, draws in null.items()} | {
        f"{name}_floor95": draws.quantile(0.95).item() for name, draws in null.items()
    }


@remembered
def escape_radius(snapshots: Snapshots, sigma: float) -> float:
    """Twice the largest norm of the training states at the level the field lives at."""
    x = snapshots.train + sigma * _noise(snapshots.train, 0, Stream.NORMALISATION)
    return 2 * torch.linalg.vector_norm(x.flatten(1), dim=1).max().item()


@remembered
def bandwidths(snapshots: Snapshots, sigma: float, protocol: Protocol) -> dict[str, float]:
    """RBF bandwidths by the suffix of the measure that uses them."""
    return {"rbf05": 0.5, "median": median_bandwidth(held_out(snapshots, sigma, protocol)[1])}


def main_bandwidth(snapshots: Snapshots, sigma: float, protocol: Protocol) -> float:
    """0.5 up to three dimensions, the median heuristic beyond."""
    low = snapshots.test[0].numel() <= 3
    return bandwidths(snapshots, sigma, protocol)["rbf05" if low else "median"]


def residuals(
    field: VelocityField, score: Score, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """``E r^2 / E |v|^2`` against the empirical score and against the score the field was given.

    The empirical score of finitely many snapshots has an error of its own, which a field that
    preserves the law exactly would show as ``residual/relative_floor``.
    """
    x = held_out(snapshots, sigma, protocol)[0]
    empirical, error = empirical_score(snapshots, sigma, protocol)
    probes = None
    if field.dim > MAX_EXACT_DIM:
        probes = rademacher(x.expand(2, *x.shape), generator(0, Stream.PROBES, device=x.device))
    v = field(x)
    moments = {
        "relative": strong_moments(field, x, empirical, probes),
        "relative_floor": (_dot(v, error).square(), _dot(v, v)),
        "relative_own_score": strong_moments(field, x, score(x, sigma), probes),
    }
    return {f"residual/{name}": _ratio(r2, v2) for name, (r2, v2) in moments.items()}


@remembered
def empirical_score(
    snapshots: Snapshots, sigma: float, protocol: Protocol
) -> tuple[Tensor, Tensor]:
    """Empirical score at the starts, and an error of the size of its own.

    Scores of two halves of the snapshots differ with four times the variance of the whole's error.
    """
    x = held_out(snapshots, sigma, protocol)[0]
    first, second = (EmpiricalScore(half)(x, sigma) for half in snapshots.train.chunk(2))
    return EmpiricalScore(snapshots.train)(x, sigma), (first - second) / 2


@remembered
def true_velocities(
    snapshots: Snapshots, sigma: float, protocol: Protocol
) -> tuple[Tensor, Tensor]:
    """The true velocity at the starts, and its smoothed form ``E[v(x_0) | x]``."""
    x, velocity = held_out(snapshots, sigma, protocol)[0], snapshots.velocity
    assert velocity is not None
    if not sigma:
        return velocity(x), velocity(x)
    at_train = velocity(snapshots.train)
    return velocity(x), EmpiricalScore(snapshots.train).posterior_mean(x, sigma, at_train)


def stationarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Test of stationarity on all held-out states, noised where the field lives there.

    Where the true velocity is rejected on clean states, the sample itself is not stationary.
    """
    if len(snapshots.shape) != 1 or len(snapshots.test) < MIN_UNITS:
        return {}
    x = snapshots.test + sigma * _noise(snapshots.test, protocol.seed, Stream.HELD_OUT)
    functions = FourierFunctions.of(x, seed=protocol.seed)
    velocities = {"": field(x)}
    if snapshots.velocity and not sigma:
        velocities["truth/"] = snapshots.velocity(x)
    tests = {prefix: hotelling(v, x.double(), functions) for prefix, v in velocities.items()}
    return {f"{prefix}stationarity/p_value": test.p_value for prefix, test in tests.items()} | {
        f"{prefix}stationarity/effect_size": test.effect_size for prefix, test in tests.items()
    }


def similarity(
    field: VelocityField, snapshots: Snapshots, sigma: float, protocol: Protocol
) -> dict[str, float]:
    """Cosine to the true velocity and to its smoothed form, where it is known."""
    if snapshots.velocity is None:
        return {}
    v = field(held_out(snapshots, sigma, protocol)[0])
    truth, smoothed = true_velocities(snapshots, sigma, protocol)
    cosine = _cosine(v, truth)
    numbers = {"truth/cos": abs(cosine), "truth/cos_signed": cosine}
    return numbers | ({"truth/cos_smoothed": abs(_cosine(v, smoothed))} if sigma else {})


@torch.no_grad()
def random_skew_similarity(
    score: Score, snapshots: Snapshots, sigma: float, protocol: Protocol, draws: int = 10
) -> dict[str, float]:
    """Similarity of random skew maps of the score: mean and spread over ``draws`` seeds."""
    device, shape = snapshots.train.device, snapshots.shape
    seeds = range(1000 * (protocol.seed + 1), 1000 * (protocol.seed + 1) + draws)
    fields = [build_field("random_skew", shape, score, sigma, seed) for seed in seeds]
    found = [similarity(field.to(device), snapshots, sigma, protocol) for field in fields]
    table = {name: torch.tensor([numbers[name] for numbers in found]) for name in found[0]}
    return {name: values.mean().item() for name, values in table.items()} | {
        f"{name}_std": values.std().item() for name, values in table.items()
    }


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


def _ratio(r2: Tensor, v2: Tensor) -> float:
    metric = RelativeResidual().to(r2.device)
    metric.update(r2, v2)
    return metric.compute().item()


def _cosine(v: Tensor, w: Tensor) -> float:
    metric = Cosine().to(v.device)
    metric.update(v, w)
    return metric.compute().item()


def _noise(x: Tensor, seed: int, stream: Stream) -> Tensor:
    draw = generator(seed, stream, device=x.device)
    return torch.randn(x.shape, generator=draw, dtype=x.dtype, device=x.device)
