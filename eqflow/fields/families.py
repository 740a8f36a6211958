"""The families of velocity fields in one table: how each is built, what it needs, how it looks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.fields.ensemble import Ensemble
from eqflow.fields.exact import ExactNetwork
from eqflow.fields.kernels import given_kernel, random_kernel, skew_kernel
from eqflow.fields.library import Library, library_options
from eqflow.fields.linear import KernelMap, LinearInScore, MinusX, ScoreMap
from eqflow.fields.network import IsotropicNetwork, Network
from eqflow.fields.stream import Stream
from eqflow.options import Options, check_arguments, options_of, unknown
from eqflow.runtime import Draws, hashed
from eqflow.score import Score


@dataclass(frozen=True)
class Family:
    """A named family of velocity fields (method section 4).

    ``build(shape, score, sigma, seed, **arguments)`` makes a field; ``label``, ``colour`` and
    ``marker`` stand for it in tables and figures. A field with ``needs_score`` is a function of the
    score; the parameters of a ``trained`` one are learned; one of a ``closed_form`` family is
    fitted to the snapshots directly, at noise level 0. ``random_of`` names the family of which a
    null is a random draw. A null with ``similarity_draws`` is not simulated: the mean similarity to
    the truth of that many draws is reported instead. ``options()`` are the arguments, where the
    signature of ``build`` does not name them.
    """

    name: str
    build: Callable[..., VelocityField]
    label: str = ""
    colour: str = "#444444"
    marker: str = "*"
    needs_score: bool = False
    trained: bool = False
    closed_form: bool = False
    random_of: str = ""
    similarity_draws: int = 0
    options: Callable[[], Options] | None = None


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
    kernel: list[Any] | None = None,
) -> LinearInScore:
    if kernel is None:
        return _drawn(skew_kernel)(shape, score, sigma, seed, radius, symmetric)
    wanted = radius if len(shape) > 1 else _radius(shape, radius, symmetric)
    return _linear(shape, given_kernel(kernel, shape[0], wanted, symmetric), score, sigma)


def _library(
    shape: tuple[int, ...], score: Score, sigma: float, seed: int, **terms: Any
) -> Library:
    return Library(shape, **terms)


def _score(shape: tuple[int, ...], score: Score, sigma: float, seed: int) -> LinearInScore:
    return _linear(shape, torch.eye(shape[0])[:, :, None, None], score, sigma)


def _minus_x(shape: tuple[int, ...], score: Score, sigma: float, seed: int) -> MinusX:
    return MinusX(shape)


# colours after the palette of Okabe and Ito, which the colour-blind tell apart
_FAMILIES = (
    Family("network", _network, "network", "#0072B2", "o", trained=True),
    Family("skew", _skew, "skew (no training)", "#D55E00", "s", needs_score=True),
    Family("stream", _stream, "stream (exact)", "#009E73", "D", needs_score=True, trained=True),
    Family(
        "library",
        _library,
        "library (equations)",
        "#CC79A7",
        "^",
        closed_form=True,
        options=library_options,
    ),
    Family("random", _network, "random network", "#E69F00", "v", random_of="network"),
    Family(
        "random_skew",
        _drawn(skew_kernel),
        "random skew maps",
        "#8C510A",
        "<",
        needs_score=True,
        random_of="skew",
        similarity_draws=10,
    ),
    Family(
        "random_linear",
        _drawn(random_kernel),
        "random linear map",
        "#56B4E9",
        ">",
        needs_score=True,
        random_of="skew",
    ),
    Family("score", _score, "score", "#7F7F7F", "X", needs_score=True),
    Family("minus_x", _minus_x, "\N{MINUS SIGN}x", "#A69B00", "p"),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
"""Name, in a configuration or a saved file, -> family. A new one is added to this dictionary."""


def family_of(name: str) -> Family:
    """The family of that name; raises ``InputError`` for an unknown one."""
    if name not in FAMILIES:
        raise unknown("flow.family=", name, FAMILIES)
    return FAMILIES[name]


def field_options(family: str) -> Options:
    """Names and types of the arguments that a family's fields take."""
    record = family_of(family)
    if record.options:
        return record.options()
    return dict([*options_of(record.build).items()][4:])  # after shape, score, sigma and seed


def noise_level(family: str, sigma: float, condition: str = "strong") -> float:
    """Noise level that a field of a family lives at, in standard deviations.

    Zero for a field that is made for the snapshots themselves, by the weak form of the condition or
    in closed form; ``sigma`` for all others (method section 2).
    """
    return 0.0 if condition == "weak" or family_of(family).closed_form else sigma


def build_field(
    family: str, shape: tuple[int, ...], score: Score, sigma: float, seed: int = 0, **arguments: Any
) -> VelocityField:
    """A field of a named family that lives at noise level ``sigma``, its weights drawn by ``seed``.

    Raises ``InputError`` for an unknown name and for arguments that the family refuses.
    """
    check_arguments(arguments, field_options(family), "flow.field.")
    field = family_of(family).build(shape, score, sigma, seed, **arguments)
    field.sigma = noise_level(family, sigma)
    return field


def build_exact(
    origin: VelocityField, score: Score, sigma: float, seed: int = 0, **size: int
) -> ExactNetwork:
    """The exact field of a network of vectors, its weights drawn by ``seed``."""
    check_arguments(size, dict([*options_of(ExactNetwork).items()][3:]), "flow.projection.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(hashed(seed, Draws.FIELD_WEIGHTS, 2**31))
        field = ExactNetwork(cast(Network, origin), score, sigma, **size)
    field.sigma = sigma
    return field


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
