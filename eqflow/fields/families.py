"""The fixed registry of field families: a name, in a config or a saved file, and its builder."""

from collections.abc import Callable
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.fields.library import Library
from eqflow.fields.linear import MinusX, ScoreMap
from eqflow.fields.network import Network
from eqflow.processes import Stream, generator, hashed
from eqflow.score import Score


def random_matrix(dim: int, seed: int) -> Float[Tensor, "dim dim"]:
    """Gaussian matrix, the same for the same seed."""
    return torch.randn(dim, dim, generator=generator(seed, Stream.MATRIX))


def skew_matrix(dim: int, seed: int) -> Float[Tensor, "dim dim"]:
    """Antisymmetric Gaussian matrix ``(R - R^T) / sqrt(2)``."""
    matrix = random_matrix(dim, seed)
    return (matrix - matrix.T) / 2**0.5


def _network(shape: tuple[int, ...], score: Score, sigma: float, seed: int, **arguments) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hashed(seed, Stream.FIELD_WEIGHTS))
        return Network(shape, **arguments)


def _map(matrix: Callable[[int, int], Tensor]) -> Callable[..., ScoreMap]:
    def build(shape: tuple[int, ...], score: Score, sigma: float, seed: int) -> ScoreMap:
        return ScoreMap(shape, matrix(prod(shape), seed), score, sigma)

    return build


FAMILIES: dict[str, Callable[..., VelocityField]] = {
    "network": _network,
    "skew": _map(skew_matrix),
    "library": lambda shape, score, sigma, seed, **arguments: Library(shape, **arguments),
    "random": _network,
    "random_skew": _map(skew_matrix),
    "random_linear": _map(random_matrix),
    "score": _map(lambda dim, seed: torch.eye(dim)),
    "minus_x": lambda shape, score, sigma, seed: MinusX(shape),
}
"""Family name -> ``build(shape, score, sigma, seed, **arguments)`` (METHOD section 4)."""

SCORED = frozenset({"skew", "random_skew", "random_linear", "score"})
"""Families made of the score: they live on the smoothed law only."""

LEARNED = frozenset({"network"})
"""Families whose parameters are trained; the others only get their scale from the data."""


def build_field(
    family: str, shape: tuple[int, ...], score: Score, sigma: float, seed: int = 0, **arguments
) -> VelocityField:
    """A field of a named family, drawn by ``seed``; raises ``InputError`` for an unknown name."""
    if family not in FAMILIES:
        raise InputError(f"flow.family={family} is unknown; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[family](shape, score, sigma, seed, **arguments)
