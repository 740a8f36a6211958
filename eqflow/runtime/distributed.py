"""Data parallelism: the rows of a global batch that a process holds, and means over all rows.

The rows of every global batch are divided among the processes into contiguous slices, in the order
of their ranks. A run in one process is the special case of rank 0 in a world of 1.
"""

from jaxtyping import Float
from torch import Tensor, distributed


def rank_and_world() -> tuple[int, int]:
    """Rank of this process and number of processes; ``(0, 1)`` without a process group."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def rows(total: int) -> slice:
    """The slice of ``total`` rows that this process holds; sizes differ by one row at most."""
    rank, world = rank_and_world()
    return slice(total * rank // world, total * (rank + 1) // world)


def global_means(rows: Float[Tensor, "k batch"], total: int) -> Float[Tensor, " k"]:
    """Means over a global batch of ``total`` rows, differentiable in those of this process.

    A loss that is any function of these means then has the value and the gradient that a single
    process computes. The training strategy averages gradients over processes, hence the factor
    ``world`` in the gradient.

    Args:
        rows: Values of ``k`` quantities at the rows that this process holds.
        total: Number of rows of the global batch.
    """
    _, world = rank_and_world()
    local = rows.sum(1) / total
    everywhere = local.detach().clone()
    if world > 1:
        distributed.all_reduce(everywhere)
    return world * local + (everywhere - world * local).detach()
