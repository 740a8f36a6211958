"""Optimal-transport distances between samples."""

import torch
from jaxtyping import Float
from torch import Tensor


def sliced_w2(
    x: Float[Tensor, "n *shape"],
    y: Float[Tensor, "m *shape"],
    projections: int = 200,
    seed: int = 0,
) -> Float[Tensor, ""]:
    """Sliced Wasserstein-2 distance over ``projections`` fixed random directions.

    In one dimension the optimal plan sorts both samples (Bonneel et al. 2015); samples of unequal
    size are compared on their first ``min(n, m)`` states, whose order carries no meaning.
    """
    size = min(len(x), len(y))
    x, y = (sample[:size].flatten(1).double() for sample in (x, y))
    generator = torch.Generator(x.device).manual_seed(seed)
    directions = torch.randn(
        x.shape[1], projections, generator=generator, dtype=x.dtype, device=x.device
    )
    directions /= torch.linalg.vector_norm(directions, dim=0)
    gaps = (directions.T @ x.T).sort().values - (directions.T @ y.T).sort().values
    return gaps.square().mean().sqrt()


def sinkhorn_divergence(
    x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"], blur: float = 0.5
) -> Float[Tensor, ""]:
    """Debiased Sinkhorn divergence of squared distance, entropy ``blur^2``, through POT.

    The transport cost of the entropic plan, without the entropy itself ("sharp", Luise et al.
    2018). Zero for equal samples; the squared Wasserstein-2 distance as ``blur`` goes to 0.
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    xy, xx, yy = (_entropic_cost(a, b, blur**2) for a, b in ((x, y), (x, x), (y, y)))
    return xy - (xx + yy) / 2


def _entropic_cost(x: Tensor, y: Tensor, entropy: float) -> Tensor:
    import ot

    cost = torch.cdist(x, y).square()
    # the plain kernel exp(-cost / entropy) is ten times faster but underflows beyond this
    method = "sinkhorn" if cost.max() < 500 * entropy else "sinkhorn_log"
    return ot.sinkhorn2([], [], cost, entropy, method=method, stopThr=1e-7)
