"""The fixed registry of field families: a name, in a config or a saved file, and its builder."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.fields.ensemble import Ensemble
from eqflow.fields.kernels import given_kernel, random_kernel, skew_kernel
from eqflow.fields.library import Library
from eqflow.fields.linear import KernelMap, LinearInScore, MinusX, ScoreMap
from eqflow.fields.network import IsotropicNetwork, Network
from eqflow.fields.stream import Stream
from eqflow.runtime import Draws, hashed
from eqflow.score import Score


def _network(
    shape: tuple[int, ...],
    score: Score,
    sigma: float,
    seed: int,
    width: int | None = None,
    depth: int | None = None,
    fourier: int = 0,
    bandwidth: float = 1.0,
    gain: float = 3.0,
) -> Network | IsotropicNetwork:
    size = {name: n for name, n in (("width", width), ("depth", depth)) if n is not None}
    if len(shape) > 1 and fourier:
        raise InputError(f"flow.field.fourier={fourier} is for vectors, found images; expected 0")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hashed(seed, Draws.FIELD_WEIGHTS))
        if len(shape) > 1:
            return IsotropicNetwork(shape, gain=gain, **size)
        return Network(shape, fourier=fourier, bandwidth=bandwidth, gain=gain, **size)


def _stream(
    shape: tuple[int, ...],
    score: Score,
    sigma: float,
    seed: int,
    width: int = 64,
    depth: int = 3,
    gain: float = 1.0,
) -> Stream:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hashed(seed, Draws.FIELD_WEIGHTS))
        return Stream(shape, score, sigma, width, depth, gain)


def _linear(
    shape: tuple[int, ...], kernel: Float[Tensor, "c c side side"], score: Score, sigma: float
) -> LinearInScore:
    """The convolution of an image's score; a vector is an image of one pixel."""
    if len(shape) == 1:
        return ScoreMap(shape, kernel[:, :, 0, 0], score, sigma)
    return KernelMap(shape, kernel, score, sigma)


def _radius(shape: tuple[int, ...], radius: int | None, symmetric: bool) -> int:
    """The radius asked for, or that of nearest neighbours."""
    if len(shape) > 1:
        return 1 if radius is None else radius
    if radius or symmetric:
        raise InputError(
            f"flow.field: radius={radius}, symmetric={symmetric} found beside vectors of shape "
            f"{shape}, which have no neighbours; expected radius=null, symmetric=false"
        )
    return 0


def _drawn(draw: Callable[..., Tensor]) -> Callable[..., LinearInScore]:
    def build(
        shape: tuple[int, ...],
        score: Score,
        sigma: float,
        seed: int,
        radius: int | None = None,
        symmetric: bool = False,
    ) -> LinearInScore:
        kernel = draw(shape[0], seed, _radius(shape, radius, symmetric), symmetric)
        return _linear(shape, kernel, score, sigma)

    return build


def _skew(
    shape: tuple[int, ...],
    score: Score,
    sigma: float,
    seed: int,
    radius: int | None = None,
    symmetric: bool = False,
    kernel: list | None = None,
) -> LinearInScore:
    if kernel is None:
        return _drawn(skew_kernel)(shape, score, sigma, seed, radius, symmetric)
    wanted = radius if len(shape) > 1 else _radius(shape, radius, symmetric)
    return _linear(shape, given_kernel(kernel, shape[0], wanted, symmetric), score, sigma)


FAMILIES: dict[str, Callable[..., VelocityField]] = {
    "network": _network,
    "skew": _skew,
    "stream": _stream,
    "library": lambda shape, score, sigma, seed, **arguments: Library(shape, **arguments),
    "random": _network,
    "random_skew": _drawn(skew_kernel),
    "random_linear": _drawn(random_kernel),
    "score": lambda shape, score, sigma, seed: _linear(
        shape, torch.eye(shape[0])[:, :, None, None], score, sigma
    ),
    "minus_x": lambda shape, score, sigma, seed: MinusX(shape),
}
"""Family name -> ``build(shape, score, sigma, seed, **arguments)`` (method section 4)."""


SCORED = frozenset({"skew", "stream", "random_skew", "random_linear", "score"})
"""Families made of the score: they live on the smoothed law only."""


LEARNED = frozenset({"network", "stream"})
"""Families whose parameters are trained; the others only get their scale from the data."""


ALIKE = {"random": "network", "random_skew": "skew", "random_linear": "skew"}
"""Null -> the family it is a random field of: beside one, it is made of the same size."""


def build_field(
    family: str, shape: tuple[int, ...], score: Score, sigma: float, seed: int = 0, **arguments
) -> VelocityField:
    """A field of a named family, drawn by ``seed``; raises ``InputError`` for an unknown name."""
    if family not in FAMILIES:
        raise InputError(f"flow.family={family} is unknown; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[family](shape, score, sigma, seed, **arguments)


def build_ensemble(
    members: int,
    family: str,
    shape: tuple[int, ...],
    score: Score,
    sigma: float,
    seed: int = 0,
    **arguments: Any,
) -> VelocityField:
    """One field, or several networks of vectors that start from different weights.

    Raises ``InputError`` for less than one and for several of anything else.
    """
    if members < 1 or (members > 1 and (family != "network" or len(shape) > 1)):
        raise InputError(
            f"flow.ensemble={members} found with flow.family={family} and states of shape {shape}; "
            "expected 1, or more of flow.family=network for vectors"
        )
    seeds = [seed, *(hashed(seed, Draws.FIELD_WEIGHTS, k) for k in range(1, members))]
    fields = [build_field(family, shape, score, sigma, each, **arguments) for each in seeds]
    return fields[0] if members == 1 else Ensemble(fields)
