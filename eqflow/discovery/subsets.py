"""Search for the unknowns to keep, with the statistic taken as quadratic (method section 5).

Setting the unknowns ``R`` to zero raises the statistic by ``x_R . (V_RR)^-1 x_R``, their Wald
statistic, where ``x`` is the minimum and ``V`` the sampling covariance there. On an attractor the
unknowns of a library are far from independent, and taking them away one by one misleads:
the search also puts unknowns back and exchanges them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eqflow.discovery.gmm import JITTER, Minimum, fixed_speed, minimise
from eqflow.discovery.influence import influence
from eqflow.runtime.progress import tell
from eqflow.stationarity import Form


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The quadratic ``(x - centre) . V^-1 (x - centre)`` with ``V`` the ``covariance``."""

    centre: Float[Tensor, " unknowns"]
    covariance: Float[Tensor, "unknowns unknowns"]

    @classmethod
    def around(
        cls, form: Form, minimum: Minimum, pivots: Int[Tensor, " p"] | None = None
    ) -> "Quadratic":
        """Expansion at a field in all unknowns of its library, also those outside its support.

        The unknowns ``pivots`` are zero in the field and remain so: no search puts them back.
        """
        full = minimise(form, minimum.xi, ridge=minimum.ridge, steps=0)
        gradient, errors = full.gradient, influence(form, full).covariance
        precision = fixed_speed(form, full.xi, full.support, full.hessian)
        if pivots is not None:
            gradient[pivots] = 0
            largest = precision.diagonal().max()
            precision[pivots] = precision[:, pivots] = 0
            precision[pivots, pivots] = largest
            errors[pivots] = errors[:, pivots] = 0
            errors[pivots, pivots] = 1 / largest
        errors.diagonal().mul_(1 + JITTER)
        return cls(minimum.xi - torch.linalg.solve(precision, gradient), errors)

    def without(self, removed: Tensor) -> Float[Tensor, " unknowns"]:
        """The minimum among fields whose unknowns ``removed`` (indices) are zero."""
        shift = torch.linalg.solve(self.covariance[removed][:, removed], self.centre[removed])
        return (self.centre - self.covariance[:, removed] @ shift).index_fill(0, removed, 0)

    def rise(self, removed: Bool[Tensor, " unknowns"]) -> float:
        """Wald statistic of the unknowns ``removed`` (mask)."""
        x = self.centre[removed]
        return float(x @ torch.linalg.solve(self.covariance[removed][:, removed], x))

    def search(self, kept: Bool[Tensor, " unknowns"], price: float) -> Bool[Tensor, " unknowns"]:
        """Local minimum, over the sets of unknowns kept, of the rise plus ``price`` for each.

        From ``kept`` (mask) on, the best move is made while it gains: to take an unknown away, to
        put one back or to exchange two.
        """
        for _ in range(4 * len(kept)):
            tell("%d of %d unknowns kept", kept.sum(), len(kept))
            gains = self._moves(kept, price)
            best = int(gains.argmin())
            if gains.flatten()[best] > -1e-6:
                break
            kept = kept.clone()
            for k in divmod(best, len(gains)):
                if k < len(kept):  # the last row and column stand for no unknown
                    kept[k] = ~kept[k]
        return kept

    def _moves(self, kept: Tensor, price: float) -> Float[Tensor, "k k"]:
        """Change of the criterion by taking ``row`` away and putting ``column`` back."""
        size, (out, inside) = len(kept), (torch.where(mask)[0] for mask in (~kept, kept))
        inverse = torch.linalg.inv(self.covariance[out][:, out])
        u = inverse @ self.centre[out]
        across = self.covariance[inside][:, out] @ inverse
        left = self.centre[inside] - self.covariance[inside][:, out] @ u
        width = self.covariance.diagonal()[inside] - (across * self.covariance[inside][:, out]).sum(
            1
        )
        back = u.square() / inverse.diagonal()  # Wald statistics of the unknowns outside
        moves = self.centre.new_full((size + 1, size + 1), torch.inf)
        moves[inside, size] = left.square() / width.clamp_min(1e-300) - price
        moves[size, out] = price - back
        shifted = left[:, None] + across * u / inverse.diagonal()
        wider = width[:, None] + across.square() / inverse.diagonal()
        moves[inside[:, None], out] = shifted.square() / wider.clamp_min(1e-300) - back
        if len(inside) == 1:
            moves[inside, size] = torch.inf
        return moves
