"""How far a score is from the gradient of an energy."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.score.base import Score, Sigma


def asymmetry(score: Score, x: Float[Tensor, "batch dim"], sigma: Sigma) -> float:
    """``|J - J^T| / |J|`` of the score's Jacobian, root mean squares over states; 0 of a gradient.

    At most 2, of a rotation. Takes ``d`` reverse passes.
    """
    pullback = torch.func.vjp(lambda x: score(x, sigma), x)[1]
    basis = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    jacobian = torch.stack([pullback(e.expand_as(x))[0] for e in basis], dim=1)
    return ((jacobian - jacobian.mT).norm() / jacobian.norm()).item()
