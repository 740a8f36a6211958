"""Where this process stands among those that share the work, and noise that does not depend on it.

Work is split by rows: a process holds a contiguous slice of every global batch. Random numbers are
a function of (seed, draws, step, global row), so one process and many draw the same ones.
"""

from jaxtyping import Float
from torch import Tensor, distributed


def rank_and_world() -> tuple[int, int]:
    """This process's rank and the number of processes; ``(0, 1)`` when alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def rows(total: int) -> slice:
    """The slice of ``total`` rows that this process holds; slices differ by at most one row."""
    rank, world = rank_and_world()
    return slice(total * rank // world, total * (rank + 1) // world)


def global_means(rows: Float[Tensor, "k batch"], total: int) -> Float[Tensor, " k"]:
    """Means over the global batch of ``total`` rows, of which each process holds some.

    Any function of these means has the value and the gradient of a single process: gradients are
    averaged over processes by the training strategy, hence the factor ``world``.
    """
    _, world = rank_and_world()
    local = rows.sum(1) / total
    everywhere = local.detach().clone()
    if world > 1:
        distributed.all_reduce(everywhere)
    return world * local + (everywhere - world * local).detach()
