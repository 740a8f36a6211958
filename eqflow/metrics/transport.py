"""Optimal-transport distances of two samples: sliced Wasserstein-2 and Sinkhorn divergence."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

PRECISION, MAX_STEPS = 1e-7, 1000
"""Error of a transport plan's margins at which its iteration ends, and most steps of it."""


def sliced_w2(
    x: Float[Tensor, "n *shape"],
    y: Float[Tensor, "m *shape"],
    projections: int = 200,
    seed: int = 0,
) -> Float[Tensor, ""]:
    """Sliced Wasserstein-2 distance over random directions (Bonneel et al. 2015).

    ``(E_u W_2(u . x, u . y)^2)^1/2`` over ``projections`` unit vectors ``u`` drawn by ``seed``; in
    one dimension the optimal plan sorts both samples. Of samples of unequal size the first
    ``min(n, m)`` states are compared.
    """
    size = min(len(x), len(y))
    shadows = (_projected(sample[:size], projections, seed) for sample in (x, y))
    return _gap(*(shadow.sort().values for shadow in shadows))


def sliced_w2_splits(
    states: Float[Tensor, "two_n *shape"],
    first: Bool[Tensor, "two_n splits"],
    projections: int = 200,
    seed: int = 0,
) -> Float[Tensor, " splits"]:
    """Sliced Wasserstein-2 distance between two halves of a sample, for many splits at once.

    ``first`` marks the first half of each split in a column; halves are of equal size.
    """
    # sorted once: a mask keeps the order of what it takes
    shadows, order = _projected(states, projections, seed).sort()
    marks = (half[order] for half in first.T)
    halves = (
        (shadows[mine].view(projections, -1), shadows[~mine].view(projections, -1))
        for mine in marks
    )
    return torch.stack([_gap(x, y) for x, y in halves])


def _projected(x: Tensor, projections: int, seed: int) -> Float[Tensor, "projections n"]:
    x = x.flatten(1).double()
    generator = torch.Generator(x.device).manual_seed(seed)
    directions = torch.randn(
        x.shape[1], projections, generator=generator, dtype=x.dtype, device=x.device
    )
    return (directions / torch.linalg.vector_norm(directions, dim=0)).T @ x.T


def _gap(x: Float[Tensor, "projections n"], y: Float[Tensor, "projections n"]) -> Float[Tensor, ""]:
    """Root mean square distance of two samples, each sorted along every projection."""
    return (x - y).square().mean().sqrt()


def sinkhorn_divergence(
    x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"], blur: float = 0.5
) -> Float[Tensor, ""]:
    """Sinkhorn divergence ``c(x, y) - (c(x, x) + c(y, y)) / 2``, through POT.

    ``c`` is the cost, in squared distance, of the transport plan with entropic regularisation
    ``blur^2``, without the entropy itself (Luise et al. 2018). It is 0 for equal samples and tends
    to the squared Wasserstein-2 distance as ``blur`` goes to 0.
    """
    x, y = x.flatten(1).double(), y.flatten(1).double()
    return _cost(x, y, blur**2) - (_own_cost(x, blur**2) + _own_cost(y, blur**2)) / 2


def _cost(x: Tensor, y: Tensor, entropy: float) -> Tensor:
    import ot

    cost = torch.cdist(x, y).square()
    # the plain kernel exp(-cost / entropy) is ten times faster but underflows beyond this
    if cost.max() >= 500 * entropy:
        return ot.sinkhorn2([], [], cost, entropy, method="sinkhorn_log", stopThr=PRECISION)
    # its steps are so short that NumPy's arrays take half the time of tensors
    total = ot.sinkhorn2([], [], cost.cpu().numpy(), entropy, stopThr=PRECISION)
    return cost.new_tensor(float(total))


def _own_cost(x: Tensor, entropy: float) -> Tensor:
    """The cost of a sample to itself.

    Its plan ``diag(u) exp(-cost / entropy) diag(u)`` is symmetric, and the mean of successive
    scalings finds it in a few steps (Knight, Ruiz and Ucar 2014, SIAM J. Matrix Anal. Appl. 35),
    where the general iteration takes hundreds.
    """
    cost, n = torch.cdist(x, x).square(), len(x)
    kernel = torch.exp(-cost / entropy)
    u = x.new_full((n,), n**-0.5)
    for _ in range(MAX_STEPS):
        mass = n * u * (kernel @ u)  # of each state, 1 in the plan
        if (mass - 1).abs().max() < PRECISION:
            break
        u = u / mass.sqrt()
    return u @ (kernel * cost) @ u
