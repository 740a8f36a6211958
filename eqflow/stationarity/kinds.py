"""Which test functions: waves for vectors, local ones for images."""

from jaxtyping import Float
from torch import Tensor

from eqflow.stationarity.functions import FourierFunctions
from eqflow.stationarity.images import LocalFunctions


def functions_for(
    z: Float[Tensor, "n dim *grid"], seed: int = 0
) -> FourierFunctions | LocalFunctions:
    """Test functions whose scales follow standardised states, drawn by ``seed``."""
    kind = FourierFunctions if z.ndim == 2 else LocalFunctions
    return kind.of(z, seed=seed)
