"""Which simulated states have left the data."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def inside(x: Float[Tensor, "batch *shape"], radius: float) -> Bool[Tensor, " batch"]:
    """States that are finite and within ``radius`` of the origin, standardised units."""
    flat = x.flatten(1)
    return flat.isfinite().all(1) & (torch.linalg.vector_norm(flat, dim=1) <= radius)


def reach(x: Float[Tensor, "batch *shape"]) -> float:
    """Twice the largest norm: a state farther from the origin has left (method section 8)."""
    return 2 * torch.linalg.vector_norm(x.flatten(1), dim=1).max().item()
