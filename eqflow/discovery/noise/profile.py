"""Estimate of an unknown size of the measurement noise: the one with which a library fits best.

The least statistic ``J(s) = min_xi J(xi; s)`` of the weak form corrected for noise of size ``s`` is
a profile over ``s``. Its minimum estimates the size; the sizes whose statistic is larger by no more
than the 95 % point of chi-square with one degree of freedom are an interval (method section 5).
"""

from dataclasses import dataclass
from math import inf

from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, minimise
from eqflow.discovery.initial import initial_fields
from eqflow.discovery.noise.polynomial import MAX_NOISE_STD, NoisyPolynomial
from eqflow.discovery.noise.weak import NoisyWeakForm
from eqflow.stationarity import FourierFunctions

COARSE_STATES = 2000
"""Number of states on which sizes of the noise are first compared."""


CHI_SQUARE_95 = 3.84
"""95 % point of chi-square with one degree of freedom."""


NOISE_STD_TOLERANCE = 5e-4
"""Tolerance of the size of the noise, in each feature's standard deviation."""


@dataclass(frozen=True, eq=False)
class NoiseProfile:
    """Estimated size of the noise, in each feature's standard deviation, and the fit with it.

    ``low`` and ``high`` bound the 95 % interval of ``noise_std``. The unknowns of ``minimum`` are
    those of terms divided by ``rms``.
    """

    noise_std: float
    low: float
    high: float
    minimum: Minimum
    rms: Float[Tensor, " terms"]


def profile_noise(
    z: Float[Tensor, "n dim"],
    library: NoisyPolynomial,
    functions: FourierFunctions,
    largest: float = 0.4,
    step: float = 0.025,
) -> NoiseProfile:
    """Estimate of the size of the noise in the standardised states ``z``.

    There is one size for all features, in their standard deviations; the size in ``library`` is not
    used. Multiples of ``step`` up to ``largest`` are compared on the first ``COARSE_STATES``
    states, and the best is refined on all. Few functions and many states serve best: with a few
    thousand states for 150 moments the estimate is too small by more than its error.
    """
    coarse = _Profile(z[:COARSE_STATES], library, functions)
    for level in range(round(largest / step) + 1):
        coarse.start(level * step)
    profile = _Profile(z, library, functions)
    profile.start(coarse.noise_std, count=3)
    profile.refine(coarse.noise_std - 2 * step, coarse.noise_std + 2 * step)
    low, high = profile.edge(-1), profile.edge(1)
    return NoiseProfile(profile.noise_std, low, high, profile.minimum, profile.rms)


class _Profile:
    """The least statistic as a function of the size of the noise; keeps the best fit so far."""

    def __init__(self, z: Tensor, library: NoisyPolynomial, functions: FourierFunctions) -> None:
        self.z, self.library, self.functions = z, library, functions
        self.rms = library.at(0.0)(z).square().mean(0).sqrt()
        self.noise_std, self.statistic = 0.0, inf
        self.known: dict[float, float] = {}
        self.minimum: Minimum

    def start(self, noise_std: float, count: int = 1) -> None:
        """Fit with this size of the noise, from ``count`` initial fields."""
        form = self._form(noise_std)
        for xi in initial_fields(form, count):
            near = minimise(form, xi, ridge=1e-2, steps=4, tolerance=1)
            self._keep(noise_std, minimise(form, near.xi, steps=4, tolerance=1))

    def __call__(self, noise_std: float) -> float:
        """Statistic of the minimum reached from the best fit so far."""
        if noise_std not in self.known:
            minimum = minimise(self._form(noise_std), self.minimum.xi)
            self._keep(noise_std, minimum)
            self.known[noise_std] = minimum.statistic
        return self.known[noise_std]

    def refine(self, low: float, high: float) -> None:
        """Minimise between two sizes."""
        from scipy.optimize import minimize_scalar

        bounds, options = (_bounded(low), _bounded(high)), {"xatol": NOISE_STD_TOLERANCE}
        minimize_scalar(self, bounds=bounds, method="bounded", options=options)

    def edge(self, side: int) -> float:
        """End of the interval on one ``side``, -1 or 1, of the best size."""
        from scipy.optimize import brentq

        best, level = self.noise_std, self.statistic + CHI_SQUARE_95
        step = 4 * NOISE_STD_TOLERANCE
        inner, outer = best, _bounded(best + side * step)
        while self(outer) < level:
            if outer in (0.0, MAX_NOISE_STD):
                return outer
            inner, step = outer, 2 * step
            outer = _bounded(best + side * step)
        return float(brentq(lambda s: self(s) - level, inner, outer, xtol=NOISE_STD_TOLERANCE))

    def _form(self, noise_std: float) -> NoisyWeakForm:
        return NoisyWeakForm(self.z, self.library.at(noise_std), self.functions, self.rms)

    def _keep(self, noise_std: float, minimum: Minimum) -> None:
        if minimum.statistic < self.statistic:
            self.noise_std, self.minimum = float(noise_std), minimum
            self.statistic = minimum.statistic


def _bounded(noise_std: float) -> float:
    return min(max(noise_std, 0.0), MAX_NOISE_STD)
