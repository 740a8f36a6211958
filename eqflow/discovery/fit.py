"""From snapshots to equations: fit a library field, choose its terms.

Everything is fitted on one part of the snapshots and tested on the rest (method sections 5, 6).
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from eqflow.data import Standardiser, group_boundary
from eqflow.discovery.candidates import FEWEST, MOMENTS, MOST, SCARCE, Candidate, Trial
from eqflow.discovery.findings import Findings
from eqflow.discovery.inference import infer
from eqflow.discovery.noise import NoiseProfile, NoisyPolynomial, check_noise, profile_noise
from eqflow.discovery.sample import ImageSample, Sample
from eqflow.discovery.selection import select
from eqflow.discovery.spectrum import known
from eqflow.discovery.symmetries import Generator, generators, has_gradients
from eqflow.errors import InputError
from eqflow.fields import Library
from eqflow.stationarity import FourierFunctions, Sums, sums
from eqflow.stationarity.images.form import moments
from eqflow.stationarity.images.functions import LocalFunctions

HELD_OUT = 0.3
"""Share of the snapshots that a fit does not see."""


ENOUGH = 10
"""Snapshots for each unknown that a larger library must have to be tried of itself."""


PROBED = 0.1
"""Size of the noise that an estimate of it starts from."""


CHECKED = 256
"""Snapshots whose terms are looked at together."""


SINGULAR = 1e-13
"""Relative size of an eigenvalue of the terms' second moments that counts as zero."""


def check_options(field: Library, functions: int = 250, noise_std: float | None = 0.0) -> None:
    """Refuse options of a fit that need no data to be seen as wrong."""
    if not isinstance(functions, int) or functions < 1:
        raise InputError(f"flow.training.functions={functions}: expected an integer >= 1")
    if noise_std != 0 and len(field.shape) == 3:
        raise InputError(
            f"flow.training.noise_std={noise_std}: noise is corrected for in vectors only, found "
            "images; expected 0"
        )
    if noise_std != 0:
        check_noise(field.terms, PROBED if noise_std is None else noise_std)


class Discovery:
    """Fit of a library field to standardised snapshots, shuffled, ``(n, *shape)``.

    ``groups`` label snapshots that are correlated, side by side: the fit sees all of a group or
    nothing. ``noise_std`` is the size of the measurement
    noise, as a fraction of each feature's standard deviation in the snapshots; None has it
    estimated. With noise, no more than ``RESERVOIR`` snapshots are used. Raises ``InputError`` for
    fewer snapshots than unknowns and for terms that are not finite or not independent on the data.
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
        self.noise_std = noise_std
        self.field, self.seed = field, seed
        field.standardiser.load_state_dict(standardiser.state_dict())
        self.images = z.ndim == 4
        most = (ImageSample if self.images else Sample).reservoir
        self.fitted = group_boundary(len(z) - min(int(HELD_OUT * len(z)), most), groups)
        self.sample = self._sample(z[: min(self.fitted, most)], groups)
        self.held_out = self._sample(z[self.fitted :], groups, self.fitted)
        self.libraries = self._affordable(field.columns)
        self.fewest, self.most, count = self._sizes(functions)
        self.functions = self._drawn(count, seed)
        self.others = self._drawn(functions, seed + 1)

    def _drawn(self, count: int, seed: int) -> FourierFunctions | LocalFunctions:
        """Test functions; those of images tell directions apart if the terms do."""
        if not self.images:
            return FourierFunctions.of(self.sample.z, count, seed=seed)
        directed = has_gradients(self.field.terms)
        return LocalFunctions.of(self.sample.z, count, seed=seed, directed=directed)

    def _sizes(self, functions: int) -> tuple[int, int, int]:
        """Test functions of a fit, of the last one, and how many are drawn."""
        unknowns = len(self.libraries[-1]) * self.field.channels
        if self.images:  # most of the cost is that of the pixels
            return functions, functions, max(functions, MOMENTS * unknowns)
        fewest = min(functions, max(FEWEST, self.fitted // 10))
        most = max(fewest, min(MOST, self.fitted // SCARCE))
        return fewest, most, max(most, MOMENTS * unknowns)

    @property
    def tested(self) -> tuple[int, ...]:
        """Shape of the sums that moments are made of."""
        more = (self.field.channels,) if self.images else ()
        return len(self.functions), len(self.field.terms), *more

    @property
    def sampled(self) -> bool:
        """Whether all is in the sample, whose moments of images are kept: no pass is needed."""
        return self.images and len(self.sample) == self.fitted

    def sums(self, z: Float[Tensor, "n *shape"]) -> Sums:
        """What a batch of standardised states adds to the moments."""
        functions = self.functions.to(z.device)
        if isinstance(functions, LocalFunctions):
            return moments(z, self.field.theta, functions).sums()
        return sums(z.double(), self.field.theta(z.double()), functions)

    def run(self, total: Sums | None = None) -> Findings:
        """Choose the terms, set the field's coefficients and say how far the data decide.

        ``total`` are the sums over the first ``fitted`` snapshots, those of the sample if left out.
        """
        if self.noise_std is not None:
            trial = self._trial(self.noise_std, total)
            return self._findings(trial, select(trial, self.libraries))
        tried: list[tuple[Candidate, Candidate]] = []
        for columns in self.libraries:
            profile = self._profiled(columns)
            trial = self._trial(profile.noise_std)
            tried += select(trial, [columns])
            if tried[-1][1].accepted:
                break
        found = self._findings(trial, tried)
        return replace(found, noise_low=profile.low, noise_high=profile.high)

    def _trial(self, noise_std: float, total: Sums | None = None) -> Trial:
        """What laws are tried on; those of images beside symmetries, which are always there."""
        parts = (self.sample, self.held_out, self.functions, self.others, self.fewest, self.most)
        trial = Trial(*parts, noisy=self._noisy(noise_std)) if noise_std else Trial(*parts, total)
        return replace(trial, symmetries=self._preserved(trial)) if self.images else trial

    def _preserved(self, trial: Trial) -> tuple[Generator, ...]:
        """The symmetries that keep the distribution, of those that the terms can express."""
        units, rows = self.field.standardiser, self.sample.z.transpose(0, 1).flatten(1).double()
        noise = trial.noisy.noise_std if trial.noisy else 0.0
        second = torch.cov(rows) - noise**2 * torch.eye(len(rows)).to(rows)
        what, mean, std = self.field, units.mean.flatten(), units.std.flatten()
        return known(trial, generators(what.terms, what.variables, mean, std, second))

    def _noisy(self, noise_std: float) -> NoisyPolynomial:
        units = self.field.standardiser
        return NoisyPolynomial(self.field.terms, units.mean, units.std, noise_std)

    def _profiled(self, columns: Tensor) -> NoiseProfile:
        """The size of the noise under which a library fits best."""
        library, functions = self._noisy(PROBED)[columns], self.functions.first(FEWEST)
        assert isinstance(functions, FourierFunctions)
        return profile_noise(self.sample.z, library, functions)

    def _findings(self, trial: Trial, tried: list[tuple[Candidate, Candidate]]) -> Findings:
        moves = trial.symmetries if self.images else self._preserved(trial)
        if trial.symmetries and not tried[-1][1].accepted:  # they alone may keep the distribution
            trial = replace(trial, symmetries=())
            tried = select(trial, self.libraries)
        return infer(self.field, trial, tried, [one.name for one in moves], self.seed)

    def _sample(self, z: Tensor, groups: Tensor | None, start: int = 0) -> Sample | ImageSample:
        mine = None if groups is None else groups[start : start + len(z)]
        for chunk in z.split(CHECKED):
            self.field.terms.check_finite(self.field.standardiser.raw(chunk.double()))
        if self.images:
            return ImageSample(z, self.field.theta, mine)
        return Sample(z.double(), self.field.theta(z.double()), mine)

    def _affordable(self, libraries: list[Tensor]) -> list[Tensor]:
        """The libraries with fewer unknowns than snapshots and with independent terms."""
        for place, columns in enumerate(libraries):
            unknowns = len(columns) * self.field.channels
            reason = ""
            observations = self.fitted * self.sample.observations
            if place and observations < ENOUGH * unknowns:
                return libraries[:place]
            if unknowns >= min(observations, len(self.sample) * self.sample.observations):
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
    return bool(sizes[0] < SINGULAR * sizes[-1])
