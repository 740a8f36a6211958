"""Fields that are sums of named terms, so that their equations can be written down."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import comb, isfinite
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import Standardiser, channelwise
from eqflow.errors import InputError
from eqflow.fields.base import VelocityField
from eqflow.options import Options, options_of, unknown
from eqflow.terms import (
    MAX_UNKNOWNS,
    Expressions,
    Operators,
    Polynomial,
    Terms,
    Trigonometric,
    channel_names,
    origin_near,
    variable_names,
)

MAX_DEGREE, MAX_REACTION = 4, 3
"""Highest degree that ``degree=auto`` tries, and that of reactions in images."""


class Library(VelocityField):
    """Library field ``dx_j/dt = sum_a coefficients[a, j] theta_a(x)`` of raw states ``x``.

    The terms ``theta_a`` of vectors are monomials up to ``degree`` and those of further ``kinds``
    (:data:`TERM_KINDS`), among them ``harmonics`` and ``expressions``. Of images they are reactions
    at each place and the local ``operators`` of the channels, times monomials up to degree
    ``coupling``, on a grid of the given ``spacing``. Takes and gives standardised states, in
    float64 inside; ``coefficients`` (terms, channels) are in raw units per transit time and zero
    until fitted. With ``degree="auto"`` the terms are those of the highest degree that may be
    tried. Monomials of vectors are those of ``x - origin``; with ``origin="auto"`` it is zero until
    the data are known, and then a short number near the mean of every variable that is far from
    zero. Raises ``InputError`` for terms that cannot be built.
    """

    coefficients: Tensor
    origin: Tensor
    names: Sequence[str] | None = None
    """Names of the features, where the data have any."""
    centred = False

    def __init__(
        self,
        shape: tuple[int, ...],
        degree: int | str = "auto",
        cross: bool = True,
        harmonics: int = 0,
        expressions: list[str] | tuple[str, ...] = (),
        operators: list[str] | tuple[str, ...] = ("lap", "bilap"),
        coupling: int = 0,
        spacing: float = 1.0,
        origin: list[float] | tuple[float, ...] | str = "auto",
        **kinds: Any,
    ) -> None:
        super().__init__(shape)
        highest = MAX_DEGREE if len(shape) == 1 else MAX_REACTION
        self.degrees = _degrees(degree, self.channels, cross, highest)
        kinds = {"harmonics": harmonics, "expressions": [*expressions], **kinds}
        if len(shape) == 1:
            build: Callable[..., Terms] = library_terms
            chosen: dict[str, Any] = kinds
        elif any(kinds.values()):
            asked = ", ".join(f"{name}={value}" for name, value in kinds.items())
            raise InputError(
                f"flow.field: {asked} found with images; expected flow.field.operators and "
                "flow.field.degree to choose their terms"
            )
        else:
            build = image_terms
            chosen = {"operators": operators, "coupling": coupling, "spacing": spacing}
        self.libraries = [build(self.channels, k, cross, **chosen) for k in self.degrees]
        self._used: tuple[int, int] | None = None
        self.register_buffer("coefficients", torch.zeros(len(self.terms), self.channels).double())
        units = channelwise(shape)
        self.standardiser = Standardiser(torch.zeros(units), torch.ones(units))
        self.automatic = origin == "auto"
        self.register_buffer("origin", torch.zeros(self.channels).double())
        if not self.automatic:
            self._about(_checked_origin(origin, self.shape))

    def take_units_(self, standardiser: Standardiser) -> None:
        """Take the units of the data, and an origin near them where that is ``auto``."""
        self.standardiser.load_state_dict(standardiser.state_dict())
        if self.automatic and len(self.shape) == 1:
            units = zip(standardiser.mean.tolist(), standardiser.std.tolist(), strict=True)
            self._about([origin_near(mean, std) for mean, std in units])

    def _about(self, origin: Sequence[float]) -> None:
        self.origin.copy_(torch.tensor(origin, dtype=torch.double))
        self.libraries = [terms.about(origin) for terms in self.libraries]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        state_dict.setdefault(f"{prefix}origin", torch.zeros_like(self.origin))  # of earlier states
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._about(self.origin.tolist())

    @property
    def terms(self) -> Terms:
        """The terms that may have coefficients."""
        return self.libraries[-1]

    @property
    def variables(self) -> list[str]:
        """Names of the features of a vector, or of the channels of an image."""
        if self.names:
            return list(self.names)
        name = variable_names if len(self.shape) == 1 else channel_names
        return name(self.channels)

    @cached_property
    def columns(self) -> list[Int[Tensor, " terms"]]:
        """Where the terms of each degree stand among :attr:`terms`."""
        place = {name: a for a, name in enumerate(self.terms.names(self.variables))}
        return [
            torch.tensor([place[name] for name in terms.names(self.variables)])
            for terms in self.libraries
        ]

    def unscaled(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        terms, coefficients = self._in_use()
        values = terms(self.standardiser.raw(x.double()))
        if x.ndim == 2:
            velocity = values @ coefficients
        else:  # several times faster than the product along the second of four axes
            velocity = (coefficients.T @ values.flatten(2)).view_as(x)
        return (velocity / self.standardiser.std).to(x.dtype)

    def _in_use(self) -> tuple[Terms, Tensor]:
        """The smallest library that holds all terms in use, and its coefficients."""
        version = self.coefficients._version
        if self._used is None or self._used[0] != version:
            used = self.coefficients.any(dim=1).nonzero().cpu()
            k = next(k for k, columns in enumerate(self.columns) if torch.isin(used, columns).all())
            self._used = version, k
        _, k = self._used
        return self.libraries[k], self.coefficients[self.columns[k].to(self.coefficients.device)]

    def theta(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch terms *grid"]:
        """Values of the terms at standardised states."""
        return self.terms(self.standardiser.raw(x))

    def normalise_(self, batches: Iterable[Tensor]) -> "Library":
        """Leave the field as it is: the fit has fixed its speed, and equations have no mean."""
        return self


def _checked_origin(origin: Sequence[float] | str, shape: tuple[int, ...]) -> list[float]:
    numbers = [o for o in origin if isinstance(o, int | float) and isfinite(o)]
    if len(shape) > 1 or not len(numbers) == len(origin) == shape[0]:
        raise InputError(
            f"flow.field.origin={origin} found with states of shape {shape}; expected auto or, of "
            "vectors, a number for each feature"
        )
    return [float(number) for number in numbers]


def _degrees(degree: int | str, dim: int, cross: bool, highest: int) -> list[int]:
    """The degree given, or all up to the ``highest`` that are not too many terms."""
    if isinstance(degree, int):
        return [degree]
    if degree != "auto":
        raise InputError(f"flow.field.degree={degree} found; expected auto or an integer >= 1")
    sizes = [comb(dim + k, k) if cross else 1 + dim * k for k in range(1, highest + 1)]
    return [k for k, size in enumerate(sizes, start=1) if k == 1 or dim * size <= MAX_UNKNOWNS]


TERM_KINDS: dict[str, Callable[[int, Any], Terms]] = {
    "harmonics": Trigonometric,
    "expressions": Expressions,
}
"""Kinds of terms of vectors beside monomials: option of a library -> ``build(dim, value)``."""


def library_options() -> Options:
    """Names and types of the arguments of a library."""
    own = {
        name: kind for name, kind in options_of(Library).items() if name not in ("self", "shape")
    }
    return {**dict.fromkeys(TERM_KINDS, Any), **own}


def library_terms(dim: int, degree: int = 2, cross: bool = True, **kinds: Any) -> Terms:
    """The terms of a library of vectors: monomials, and those of the ``kinds`` that are asked for.

    Raises ``InputError`` for an unknown kind.
    """
    terms: Terms = Polynomial(dim, degree, cross)
    for kind, value in kinds.items():
        if kind not in TERM_KINDS:
            raise unknown("flow.field.", kind, library_options())
        terms = terms + TERM_KINDS[kind](dim, value) if value else terms
    return terms


def image_terms(
    channels: int,
    degree: int = 3,
    cross: bool = True,
    operators: Sequence[str] = ("lap", "bilap"),
    coupling: int = 0,
    spacing: float = 1.0,
) -> Terms:
    """The terms of a library of images: reactions at each place, and local operators."""
    reactions = Polynomial(channels, degree, cross)
    return reactions + Operators(channels, operators, coupling, spacing) if operators else reactions
