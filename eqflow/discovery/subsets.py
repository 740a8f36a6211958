"""Which unknowns to keep, where the statistic is taken as quadratic around its least value.

Setting the unknowns ``R`` to zero raises it by ``x_R . (V_RR)^-1 x_R``, where ``V`` is the inverse
of half the second derivative (the Wald statistic of ``R``). Unknowns of a library are far from
independent on an attractor: taken away one by one they mislead, so a search also exchanges them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.discovery.gmm import Minimum, expansion, speed_fixed
from eqflow.stationarity import Form


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The statistic around the ``centre`` of least value; ``spread`` is ``V``."""

    centre: Float[Tensor, " unknowns"]
    spread: Float[Tensor, "unknowns unknowns"]

    @classmethod
    def around(cls, form: Form, found: Minimum, held: Tensor | None = None) -> "Quadratic":
        """At a field, in all unknowns of its library, also those that are not in its support.

        Those ``held`` are zero in the field and stay zero: no search puts them back.
        """
        everything = torch.arange(len(found.xi), device=found.xi.device)
        hessian, gradient = expansion(form, found.xi, found.ridge)
        precision = speed_fixed(form, found.xi, everything, hessian)
        precision.diagonal().add_(1e-10 * hessian.diagonal())
        if held is not None:
            gradient[held] = 0
            largest = precision.diagonal().max()
            precision[held] = precision[:, held] = 0
            precision[held, held] = largest
        spread = torch.linalg.inv(precision)
        return cls(found.xi - spread @ gradient, spread)

    def without(self, removed: Tensor) -> Float[Tensor, " unknowns"]:
        """The field of least value where the ``removed`` unknowns are zero."""
        shift = torch.linalg.solve(self.spread[removed][:, removed], self.centre[removed])
        return (self.centre - self.spread[:, removed] @ shift).index_fill(0, removed, 0)

    def rise(self, removed: Tensor) -> float:
        """What setting the ``removed`` unknowns (mask) to zero costs."""
        x = self.centre[removed]
        return float(x @ torch.linalg.solve(self.spread[removed][:, removed], x))

    def search(self, kept: Tensor, price: float) -> Tensor:
        """Unknowns to keep: from ``kept`` (mask) on, the best of all single moves while one helps.

        A move takes an unknown away, puts one back or exchanges two; what is minimised is the rise
        plus ``price`` for each unknown.
        """
        for _ in range(4 * len(kept)):
            moves = self._moves(kept, price)
            best = int(moves.argmin())
            if moves.flatten()[best] > -1e-6:
                break
            kept = kept.clone()
            for k in divmod(best, len(moves)):
                if k < len(kept):  # the last row and column stand for no unknown
                    kept[k] = ~kept[k]
        return kept

    def _moves(self, kept: Tensor, price: float) -> Float[Tensor, "k k"]:
        """Change of the criterion by taking ``row`` away and putting ``column`` back."""
        size, (out, inside) = len(kept), (torch.where(mask)[0] for mask in (~kept, kept))
        inverse = torch.linalg.inv(self.spread[out][:, out])
        u = inverse @ self.centre[out]
        across = self.spread[inside][:, out] @ inverse
        left = self.centre[inside] - self.spread[inside][:, out] @ u
        width = self.spread.diagonal()[inside] - (across * self.spread[inside][:, out]).sum(1)
        back = u.square() / inverse.diagonal()  # what each of those outside costs
        moves = self.centre.new_full((size + 1, size + 1), torch.inf)
        moves[inside, size] = left.square() / width.clamp_min(1e-300) - price
        moves[size, out] = price - back
        shifted = left[:, None] + across * u / inverse.diagonal()
        wider = width[:, None] + across.square() / inverse.diagonal()
        both = shifted.square() / wider.clamp_min(1e-300) - back
        moves[inside[:, None], out] = both
        if len(inside) == 1:
            moves[inside, size] = torch.inf
        return moves
