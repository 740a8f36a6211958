"""The size of the noise, where it is not known: the one under which a library fits best.

The least statistic ``J(s) = min_xi J(xi; s)`` of the weak form corrected for noise of size ``s`` is
a profile over ``s``. Its minimum estimates the size, and the sizes at which it has risen by no more
than the 95 % point of chi-square with one degree of freedom are an interval for it.
"""

from dataclasses import dataclass
from math import inf

from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, minimise
from eqflow.discovery.initial import starts
from eqflow.discovery.noise.polynomial import LARGEST, NoisyPolynomial
from eqflow.discovery.noise.weak import NoisyWeakForm
from eqflow.stationarity import FourierFunctions

COARSE = 2000
"""States on which the levels of the noise are first compared."""


LIKELY = 3.84
"""Rise of the statistic that bounds a 95 % interval: chi-square with one degree of freedom."""


PRECISION = 5e-4
"""Of the size of the noise, when it is searched for."""


@dataclass(frozen=True, eq=False)
class NoiseProfile:
    """The size of the noise that the snapshots speak for, and the field found with it.

    ``low`` and ``high`` bound a 95 % interval, the sizes whose statistic is within ``LIKELY`` of
    the least; ``rms`` (terms,) scales the terms of ``found``.
    """

    noise_std: float
    low: float
    high: float
    found: Minimum
    rms: Float[Tensor, " terms"]


def profile_noise(
    z: Float[Tensor, "n dim"],
    library: NoisyPolynomial,
    functions: FourierFunctions,
    largest: float = 0.4,
    step: float = 0.025,
) -> NoiseProfile:
    """The size of the noise whose best field has the least statistic.

    Sizes up to ``largest`` are compared on the first ``COARSE`` of the states ``z``, the best is
    refined on all of them; the size in ``library`` is not used. One size for all features,
    relative to their standard deviations. Few functions and many states are best: with a few
    thousand states for 150 moments the size comes out too small by more than its error.
    """
    coarse = _Profile(z[:COARSE], library, functions)
    for level in range(round(largest / step) + 1):
        coarse.start(level * step)
    profile = _Profile(z, library, functions)
    profile.start(coarse.noise_std, count=3)
    profile.refine(coarse.noise_std - 2 * step, coarse.noise_std + 2 * step)
    low, high = profile.edge(-1), profile.edge(1)
    return NoiseProfile(profile.noise_std, low, high, profile.found, profile.rms)


class _Profile:
    """The least statistic as a function of the size of the noise; remembers where it was least."""

    def __init__(self, z: Tensor, library: NoisyPolynomial, functions: FourierFunctions) -> None:
        self.z, self.library, self.functions = z, library, functions
        self.rms = library.at(0.0)(z).square().mean(0).sqrt()
        self.noise_std, self.statistic = 0.0, inf
        self.seen: dict[float, float] = {}
        self.found: Minimum

    def start(self, noise_std: float, count: int = 1) -> None:
        """Fit from the starts at this size."""
        form = self._form(noise_std)
        for xi in starts(form, count):
            near = minimise(form, xi, ridge=1e-2, steps=4, tolerance=1)
            self._keep(noise_std, minimise(form, near.xi, steps=4, tolerance=1))

    def __call__(self, noise_std: float) -> float:
        """The statistic of the fit that is reached from the best one so far."""
        if noise_std not in self.seen:
            found = minimise(self._form(noise_std), self.found.xi)
            self._keep(noise_std, found)
            self.seen[noise_std] = found.statistic
        return self.seen[noise_std]

    def refine(self, low: float, high: float) -> None:
        """Search between two sizes for the one with the least statistic."""
        from scipy.optimize import minimize_scalar

        bounds = _bounded(low), _bounded(high)
        minimize_scalar(self, bounds=bounds, method="bounded", options={"xatol": PRECISION})

    def edge(self, side: int) -> float:
        """Where the statistic has risen by ``LIKELY`` on one side of the best size."""
        from scipy.optimize import brentq

        best, level, step = self.noise_std, self.statistic + LIKELY, 4 * PRECISION
        inner, outer = best, _bounded(best + side * step)
        while self(outer) < level:
            if outer in (0.0, LARGEST):
                return outer
            inner, step = outer, 2 * step
            outer = _bounded(best + side * step)
        return float(brentq(lambda s: self(s) - level, inner, outer, xtol=PRECISION))

    def _form(self, noise_std: float) -> NoisyWeakForm:
        return NoisyWeakForm(self.z, self.library.at(noise_std), self.functions, rms=self.rms)

    def _keep(self, noise_std: float, found: Minimum) -> None:
        if found.statistic < self.statistic:
            self.noise_std, self.statistic, self.found = float(noise_std), found.statistic, found


def _bounded(noise_std: float) -> float:
    return min(max(noise_std, 0.0), LARGEST)
