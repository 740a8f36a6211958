"""The condition a field must meet to keep a distribution as it is."""

from eqflow.stationarity.bootstrap import draws, influence
from eqflow.stationarity.divergence import (
    MAX_EXACT_DIM,
    check_dim,
    exact,
    hutchinson,
    jacobian,
    rademacher,
)
from eqflow.stationarity.elimination import Step, eliminate, path
from eqflow.stationarity.form import Form, Sums
from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.hotelling import Stationarity, hotelling
from eqflow.stationarity.images import ImageForm, ImageSample, LocalFunctions, moments
from eqflow.stationarity.kinds import functions_for
from eqflow.stationarity.noise import NoiseProfile, NoisyPolynomial, check_noise, profile_noise
from eqflow.stationarity.orientation import Orientation, orientation
from eqflow.stationarity.residual import residual, strong_moments
from eqflow.stationarity.sample import RESERVOIR, Sample
from eqflow.stationarity.selection import select
from eqflow.stationarity.solve import Minimum, minimise
from eqflow.stationarity.spectrum import Spectrum, known, spectrum
from eqflow.stationarity.starts import eigenfields, starts
from eqflow.stationarity.symmetries import (
    Generator,
    directions,
    generators,
    has_gradients,
    orthogonal,
    turned,
)
from eqflow.stationarity.trial import (
    ACCEPTED,
    FEWEST,
    MOMENTS,
    MOST,
    SCARCE,
    Candidate,
    Trial,
)
from eqflow.stationarity.weak import WeakForm, sums

__all__ = [
    "ACCEPTED",
    "FEWEST",
    "MAX_EXACT_DIM",
    "MOMENTS",
    "MOST",
    "RESERVOIR",
    "SCARCE",
    "Candidate",
    "Form",
    "FourierFunctions",
    "Generator",
    "ImageForm",
    "ImageSample",
    "LocalFunctions",
    "Minimum",
    "NoiseProfile",
    "NoisyPolynomial",
    "Orientation",
    "Sample",
    "Spectrum",
    "Stationarity",
    "Step",
    "Sums",
    "Trial",
    "WeakForm",
    "check_dim",
    "check_noise",
    "directions",
    "draws",
    "eigenfields",
    "eliminate",
    "exact",
    "functions_for",
    "generators",
    "has_gradients",
    "hotelling",
    "hutchinson",
    "influence",
    "jacobian",
    "known",
    "minimise",
    "moments",
    "orientation",
    "orthogonal",
    "path",
    "profile_noise",
    "rademacher",
    "residual",
    "select",
    "spectrum",
    "starts",
    "strong_moments",
    "sums",
    "turned",
]
