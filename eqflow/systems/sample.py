"""What a sampler gives."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor


class Sample(NamedTuple):
    """Raw states of a stationary law; those of one run are correlated and share their group."""

    states: Float[Tensor, "n *shape"]
    groups: Int[Tensor, " n"] | None = None
