"""From snapshots to equations: fit a library, select its terms, infer how far they are determined.

Everything is fitted to one part of the snapshots and tested on the rest (method sections 5 and 6).
"""

from dataclasses import replace
from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import Standardiser, group_boundary
from eqflow.discovery.candidates import (
    FUNCTIONS_PER_UNKNOWN,
    MIN_FUNCTIONS,
    CandidateFitter,
)
from eqflow.discovery.findings import Findings
from eqflow.discovery.inference import infer
from eqflow.discovery.noise import NoiseProfile, NoisyPolynomial, check_noise, profile_noise
from eqflow.discovery.sample import ImageSample, VectorSample
from eqflow.discovery.selection import Pair, select
from eqflow.discovery.spectrum import preserved_symmetries
from eqflow.discovery.symmetries import Generator, generators, has_gradients
from eqflow.errors import InputError
from eqflow.fields import Library
from eqflow.stationarity import FourierFunctions, RandomWaves, Sums, sums
from eqflow.stationarity.images.form import moments
from eqflow.stationarity.images.functions import LocalFunctions
from eqflow.stationarity.images.noise import pixel_noise

HELD_OUT_SHARE = 0.3
"""Share of the snapshots that a fit does not see."""


MIN_OBSERVATIONS_PER_UNKNOWN = 10
"""Observations for each unknown with which a library larger than the first is tried."""


SNAPSHOTS_PER_FUNCTION = 15
"""Least number of snapshots for each test function with which terms are selected."""


SNAPSHOTS_PER_FINAL_FUNCTION = 50
"""The same for the refit: errors of coefficients are the better known the fewer the moments."""


INITIAL_NOISE_STD = 0.1
"""Size of the noise that its estimate starts from."""


CHECKED_AT_ONCE = 256
"""Number of snapshots whose terms are checked together."""


SINGULAR_EIGENVALUE = 1e-13
"""Relative size below which an eigenvalue of the terms' second moments counts as zero."""


def check_options(field: Library, functions: int = 250, noise_std: float | None = 0.0) -> None:
    """Raise ``InputError`` for options of a fit that are wrong whatever the snapshots."""
    if not isinstance(functions, int) or functions < 1:
        raise InputError(f"flow.training.functions={functions}: expected an integer >= 1")
    if noise_std != 0 and len(field.shape) == 3:
        raise InputError(
            f"flow.training.noise_std={noise_std}: noise is corrected for in vectors only, found "
            "images; expected 0"
        )
    if noise_std != 0:
        check_noise(field.terms, INITIAL_NOISE_STD if noise_std is None else noise_std)


class Discovery:
    """Fit of a library to standardised snapshots, with selection of terms and inference.

    Raises ``InputError`` for fewer snapshots than unknowns, and for terms that are not finite, or
    not independent, on the snapshots.

    Args:
        field: Library whose coefficients are set by :meth:`run`.
        z: Standardised snapshots in random order, ``(n, *shape)``.
        standardiser: Mean and standard deviation of the raw snapshots.
        groups: Number of the group of each snapshot; those of a group are correlated and stand side
            by side, and are fitted to or held out together.
        functions: Number of test functions.
        noise_std: Size of the measurement noise in each feature's standard deviation; None has it
            estimated. With noise, no more snapshots are used than a sample's ``reservoir``.
        seed: Seed of the test functions and the bootstrap.
    """

    def __init__(
        self,
        field: Library,
        z: Float[Tensor, "n *shape"],
        standardiser: Standardiser,
        groups: Int[Tensor, " n"] | None = None,
        functions: int = 250,
        noise_std: float | None = 0.0,
        seed: int = 0,
    ) -> None:
        check_options(field, functions, noise_std)
        self.field, self.noise_std, self.seed = field, noise_std, seed
        field.take_units_(standardiser)
        self.images = z.ndim == 4
        most = (ImageSample if self.images else VectorSample).reservoir
        self.fitted = group_boundary(len(z) - min(int(HELD_OUT_SHARE * len(z)), most), groups)
        if self.fitted >= len(z):
            raise InputError(
                f"data: {len(z)} snapshots found, none of them left to test equations on; expected "
                "more of them, or of their groups"
            )
        self.sample = self._sample(z[: min(self.fitted, most)], groups)
        self.held_out = self._sample(z[self.fitted :], groups, self.fitted)
        self.libraries = self._affordable(field.columns)
        count, final_count, drawn = self._function_counts(functions)
        self.functions = self._drawn_functions(drawn, seed)
        tests = self._drawn_functions(functions, seed + 1)
        parts = (self.sample, self.held_out, self.functions, tests, count, final_count)
        self._clean_fitter = CandidateFitter(*parts)

    def _drawn_functions(self, count: int, seed: int) -> RandomWaves:
        """Test functions; those of images are directed if the terms are."""
        if not self.images:
            return FourierFunctions.of(self.sample.z, count, seed=seed)
        directed = has_gradients(self.field.terms)
        return LocalFunctions.of(self.sample.z, count, seed=seed, directed=directed)

    def _function_counts(self, functions: int) -> tuple[int, int, int]:
        """Number of test functions of a fit, of the refit to all snapshots, and of those drawn."""
        unknowns = len(self.libraries[-1]) * self.field.channels
        drawn = max(functions, MIN_FUNCTIONS, ceil(FUNCTIONS_PER_UNKNOWN * unknowns))
        if self.images:  # most of the cost is that of the pixels
            return functions, functions, drawn
        count = min(functions, self.fitted // SNAPSHOTS_PER_FUNCTION)
        final = min(functions, self.fitted // SNAPSHOTS_PER_FINAL_FUNCTION)
        return count, final, drawn

    @property
    def tested(self) -> tuple[int, ...]:
        """Shape of the sums ``Sums.tested``."""
        more = (self.field.channels,) if self.images else ()
        return len(self.functions), len(self.field.terms), *more

    @property
    def sampled(self) -> bool:
        """Whether the sample, whose moments of images are kept, holds all snapshots to fit to.

        Then no pass over the snapshots is needed.
        """
        return self.images and len(self.sample) == self.fitted

    def sums(self, z: Float[Tensor, "n *shape"]) -> Sums:
        """Sums over a batch of standardised states, from which the moments follow."""
        functions = self.functions.to(z.device)
        if isinstance(functions, LocalFunctions):
            return moments(z, self.field.theta, functions).sums()
        assert isinstance(functions, FourierFunctions)
        return sums(z.double(), self.field.theta(z.double()), functions)

    def run(self, total: Sums | None = None) -> Findings:
        """Select the terms, set the field's coefficients and infer how far they are determined.

        ``total`` are the sums over the first ``fitted`` snapshots; those over the sample by
        default.
        """
        if self.noise_std is not None:
            fitter = self._fitter(self.noise_std, total)
            return self._findings(fitter, select(fitter, self.libraries))
        pairs: list[Pair] = []
        for columns in self.libraries:
            profile = self._noise_profile(columns)
            fitter = self._fitter(profile.noise_std)
            pairs += select(fitter, [columns])
            if pairs[-1][1].accepted:
                break
        findings = self._findings(fitter, pairs)
        return replace(findings, noise_low=profile.low, noise_high=profile.high)

    def _fitter(self, noise_std: float, total: Sums | None = None) -> CandidateFitter:
        """Fitter of candidates, for images up to their symmetries, which there always are."""
        fitter = replace(self._clean_fitter, total=total)
        if noise_std:
            fitter = replace(self._clean_fitter, noisy=self._noisy_terms(noise_std))
        return replace(fitter, symmetries=self._symmetries(fitter)) if self.images else fitter

    def _symmetries(self, fitter: CandidateFitter) -> tuple[Generator, ...]:
        """Symmetries of the distribution that the terms can express."""
        units, rows = self.field.standardiser, self.sample.z.transpose(0, 1).flatten(1).double()
        noise = fitter.noisy.noise_std if fitter.noisy else 0.0
        second = torch.cov(rows) - noise**2 * torch.eye(len(rows)).to(rows)
        names, mean, std = self.field.variables, units.mean.flatten(), units.std.flatten()
        expressed = generators(self.field.terms, names, mean, std, second, self.field.origin)
        return preserved_symmetries(fitter, expressed)

    def _noisy_terms(self, noise_std: float) -> NoisyPolynomial:
        units = self.field.standardiser
        mean = units.mean - self.field.origin
        return NoisyPolynomial(self.field.terms, mean, units.std, noise_std)

    def _noise_profile(self, columns: Tensor) -> NoiseProfile:
        library = self._noisy_terms(INITIAL_NOISE_STD)[columns]
        functions = self.functions.first(MIN_FUNCTIONS)
        assert isinstance(functions, FourierFunctions)
        return profile_noise(self.sample.z, library, functions)

    def _findings(self, fitter: CandidateFitter, pairs: list[Pair]) -> Findings:
        symmetries = fitter.symmetries if self.images else self._symmetries(fitter)
        if fitter.symmetries and not pairs[-1][1].accepted:
            # nothing beside the symmetries keeps the distribution: perhaps they alone do
            fitter = replace(fitter, symmetries=())
            pairs = select(fitter, self.libraries)
        names = [generator.name for generator in symmetries]
        findings = infer(self.field, fitter, pairs, names, self.seed)
        return replace(findings, pixel_noise=self._pixel_noise())

    def _pixel_noise(self) -> dict[str, float]:
        """White noise of images by channel; none is told from the states of vectors."""
        sizes = pixel_noise(self.sample.z).tolist() if self.images else []
        return dict(zip(self.field.variables, sizes, strict=self.images))

    def _sample(
        self, z: Tensor, groups: Tensor | None, start: int = 0
    ) -> VectorSample | ImageSample:
        groups = None if groups is None else groups[start : start + len(z)]
        for part in z.split(CHECKED_AT_ONCE):
            self.field.terms.check_finite(self.field.standardiser.raw(part.double()))
        if self.images:
            return ImageSample(z, self.field.theta, groups)
        return VectorSample(z.double(), self.field.theta(z.double()), groups)

    def _affordable(self, libraries: list[Tensor]) -> list[Tensor]:
        """The libraries with fewer unknowns than observations and with independent terms."""
        for place, columns in enumerate(libraries):
            unknowns = len(columns) * self.field.channels
            reason = ""
            per_snapshot = self.sample.observations_per_snapshot
            observations = self.fitted * per_snapshot
            if place and observations < MIN_OBSERVATIONS_PER_UNKNOWN * unknowns:
                return libraries[:place]
            if unknowns >= min(observations, len(self.sample) * per_snapshot):
                reason = f"{unknowns} unknowns and {self.fitted} snapshots to fit them found"
            elif _singular(self.sample.gram[columns][:, columns]):
                reason = f"{len(columns)} terms that are not independent on the snapshots found"
            if reason and place:
                return libraries[:place]
            if reason:
                raise InputError(
                    f"flow.field: {reason}; expected fewer terms (flow.field.degree), more "
                    "snapshots, or features that are no copies or combinations of each other"
                )
        return libraries


def _singular(gram: Float[Tensor, "terms terms"]) -> bool:
    rms = gram.diagonal().sqrt()
    sizes = torch.linalg.eigvalsh(gram / torch.outer(rms, rms))
    return bool(sizes[0] < SINGULAR_EIGENVALUE * sizes[-1])
