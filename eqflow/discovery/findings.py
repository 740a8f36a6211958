"""What a fit of a library says of its equations, and whether the snapshots determine them."""

from dataclasses import dataclass, field
from math import log

from eqflow.discovery.candidates import ACCEPTANCE_LEVEL
from eqflow.stationarity.images.noise import MIN_PIXEL_NOISE
from eqflow.text import aligned

COMPATIBLE_LEVEL = 0.05
"""Held-out p-value from which equations are compatible; to be selected they need less."""


MIN_GAP = 2.0
"""Gap of the identifiability spectrum from which equations are the only ones of their library."""


MIN_DIRECTION_COSINE = 0.95
"""Cosine to the fit that 95 % of the bootstrap's fields must reach for the same."""


CONTRACTION_TIME, MIN_CONTRACTION = 100.0, log(20)
"""Transit times, and the contraction of volume in these that no density at rest would survive."""


MAX_ESCAPED = 0.01
"""Share of states that may leave the data when equations that keep them are simulated."""


MAX_DRIFT = 2.0
"""Distance over its noise floor that simulated states may have from held-out ones."""


@dataclass(frozen=True, repr=False)
class Findings:
    """Results of the fit of a library, in plain values (method section 6).

    Printed they are a short table.

    Attributes:
        degree: Degree of the selected library.
        degrees: A row for each library that was fitted: its degree, unknowns, terms that were kept,
            statistic per moment, held-out p-value and effect size.
        terms: Number of terms that were kept, counted once for every equation they are in.
        path: Terms left, and the rise of the statistic, along the elimination of the full fit.
        p_value: P-value of the held-out test.
        effect_size: Effect size of the held-out test.
        spectrum: Statistics per moment of the identifiability spectrum.
        error: Standard error of a value of the spectrum that is 1.
        dimension: Dimension of the space of fields that keep the distribution.
        gap: Gap of the spectrum behind them.
        direction: Cosine to the fit that 95 % of the bootstrap's fields reach.
        divergence: Mean divergence of the field, in inverse transit times.
        divergence_error: Its standard error.
        oriented: Whether contraction determines the sign.
        escaped: Share of held-out states that leave the data when the equations are simulated.
        drift: Distance of the simulated from other held-out states, over its noise floor.
        time: Transit times that were simulated.
        low: Lower ends of the coefficients' 95 % intervals in raw units, (terms, dim). They
            hold the doubt about terms: that of one which was left out need not be zero alone.
        high: Upper ends of these intervals.
        inclusion: Share of the bootstrap's samples that kept each term, (terms, dim).
        noise_std: Size of the measurement noise that was corrected for, in each feature's standard
            deviation.
        noise_low: Lower end of its 95 % interval, if it was estimated.
        noise_high: Upper end of this interval.
        blurred: Cosine to the fit of a fit without the correction.
        symmetries: Names of the known symmetries of the distribution.
        modulo_symmetries: Whether the field is one beside the symmetries, orthogonal to them.
        pixel_noise: Of images, standard deviation of the white noise in each channel's, by its
            name.
    """

    degree: int
    degrees: list[dict[str, float]]
    terms: int
    path: list[dict[str, float]]
    p_value: float
    effect_size: float
    spectrum: list[float]
    error: float
    dimension: int
    gap: float
    direction: float
    divergence: float
    divergence_error: float
    oriented: bool
    escaped: float
    drift: float
    time: float
    low: list[list[float]]
    high: list[list[float]]
    inclusion: list[list[float]]
    noise_std: float = 0.0
    noise_low: float = 0.0
    noise_high: float = 0.0
    blurred: float = 1.0
    symmetries: list[str] = field(default_factory=list)
    modulo_symmetries: bool = False
    pixel_noise: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        rungs = {
            rung: f"no: {against}" if against else "yes" for rung, against in self.rungs.items()
        }
        rows = {
            "equations": "not determined" if self.reason else "determined",
            **rungs,
            "held-out p-value": f"{self.p_value:.2g}",
            "effect size": f"{self.effect_size:.2g}",
            "degree": f"{self.degree}",
            "dimension": f"{self.dimension} (of the space of fields that keep the distribution)",
            "symmetries": self.symmetries_in_words,
            "gap": f"{self.gap:.3g}",
            "bootstrap direction": f"{self.direction:.5g}",
            "orientation": f"{self.orientation} ({self._divergence} per transit time)",
            "simulated": f"{self.escaped:.2%} escape, distance {self.drift:.2g} times its floor",
            "measurement noise": f"{self.noise_std:.2%}" if self.noise_std else "",
            "pixel noise": self._noisy_channels,
        }
        return aligned({name: text for name, text in rows.items() if text})

    def numbers(self) -> dict[str, float]:
        """The numbers of ``metrics.json``, by their names there."""
        return {
            "selection/degree": self.degree,
            "selection/terms": self.terms,
            "selection/p_value": self.p_value,
            "spectrum/dimension": self.dimension,
            "spectrum/gap": self.gap,
            "spectrum/symmetries": len(self.symmetries),
            "bootstrap/direction": self.direction,
            "selection/escaped": self.escaped,
            "selection/drift": self.drift,
            "selection/determined": int(not self.reason),
            "orientation": int(self.oriented),
            "noise/std": self.noise_std,
            **({"noise/blurred_cos": self.blurred} if self.noise_std else {}),
            **({"noise/pixel": max(self.pixel_noise.values())} if self.pixel_noise else {}),
        }

    @property
    def rungs(self) -> dict[str, str]:
        """The rungs of the verdict, in turn: what speaks against each, empty where nothing does.

        Equations are determined if they are *compatible* with held-out snapshots, the *only ones of
        their library* that are, *moving*, because a density at rest has such fields too unless they
        contract, and *kept when simulated*.
        """
        return {
            "compatible": self._rejected,
            "the only ones": self._alternatives,
            "moving": self._at_rest,
            "kept when simulated": self._lost,
        }

    @property
    def reason(self) -> str:
        """Why the equations do not count as determined; empty if they do."""
        return next(filter(None, self.rungs.values()), "")

    @property
    def _rejected(self) -> str:
        if self._noisy_channels:
            noise = f"pixel noise of {self._noisy_channels}"
            return f"the images hold {noise}, which a Laplacian amplifies"
        if self.p_value < ACCEPTANCE_LEVEL:
            return "no library that was tried keeps the distribution"
        if self.p_value < COMPATIBLE_LEVEL:
            return f"the held-out test leaves it in doubt, p = {self.p_value:.2g}"
        return ""

    @property
    def _alternatives(self) -> str:
        if self.dimension != (1 + len(self.symmetries) if self.modulo_symmetries else 1):
            span = f"the fields that keep the distribution span {self.dimension} dimensions"
            return span + (
                f", with {self.symmetries_in_words} among them" if self.symmetries else ""
            )
        if self.gap < MIN_GAP:
            return "another field keeps the distribution nearly as well"
        if self.direction < MIN_DIRECTION_COSINE:
            return "the bootstrap's fields point in different directions"
        return ""

    @property
    def _at_rest(self) -> str:
        if self.oriented and -self.divergence * CONTRACTION_TIME >= MIN_CONTRACTION:
            return ""
        return (
            f"nothing shows that the states move ({self._divergence} per transit time): a density "
            "at rest has such fields too, unless they contract"
        )

    @property
    def _lost(self) -> str:
        if self.escaped > MAX_ESCAPED:
            return f"{self.escaped:.0%} of the states leave the data when it is simulated"
        if not self.drift <= MAX_DRIFT:
            return (
                f"simulated for {self.time:.0f} transit times, states drift away from held-out "
                f"ones, to {self.drift:.2g} times the noise floor"
            )
        return ""

    @property
    def _noisy_channels(self) -> str:
        """Pixel noise that is seen, as part of a sentence; empty if there is none."""
        seen = {name: s for name, s in self.pixel_noise.items() if s >= MIN_PIXEL_NOISE}
        return " and ".join(f"{s:.2%} of {name}" for name, s in seen.items())

    @property
    def symmetries_in_words(self) -> str:
        """Names of the symmetries as part of a sentence; empty if there are none."""
        return " and ".join(f"the {name}" for name in self.symmetries)

    @property
    def symmetric(self) -> bool:
        """Whether the only field that keeps the distribution is one of its symmetries."""
        return not self.modulo_symmetries and self.dimension == len(self.symmetries) == 1

    @property
    def note(self) -> str:
        """Sentences on doubts, the sign and symmetries, printed beneath the equations."""
        said = f"Not determined: {self.reason}." if self.reason else self._sign
        return " ".join(filter(None, [said, self._freedom]))

    @property
    def orientation(self) -> str:
        """Whether contraction determines the sign, in a word."""
        return "determined" if self.oriented else "undetermined"

    @property
    def _divergence(self) -> str:
        return f"E div v = {self.divergence:.3g} +- {self.divergence_error:.2g}"

    @property
    def _sign(self) -> str:
        return f"The sign follows from contraction ({self._divergence} per transit time)."

    @property
    def _freedom(self) -> str:
        symmetries = self.symmetries_in_words
        if self.symmetric:
            return f"The equations are a symmetry of the distribution: {symmetries}."
        if not self.modulo_symmetries:
            return ""
        return f"Multiples of {symmetries} may be added: the field shown is orthogonal to them."
