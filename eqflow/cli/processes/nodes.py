"""Jobs on several machines: the number of this machine, and the address at which ranks meet.

Every machine runs the same command once and starts its own ranks. Under SLURM ``srun`` or submitit
starts the commands; by hand, ``NODE_RANK`` and ``MASTER_ADDR`` have to be set.
"""

import os

from omegaconf import DictConfig

from eqflow.errors import InputError

SLURM_PORTS = 15_000, 10_000
"""First port and number of ports that SLURM jobs are distributed over, by their numbers."""


def node_rank() -> int:
    """Number of this machine among those of the job; 0 if it is the only one."""
    return int(os.environ.get("NODE_RANK", os.environ.get("SLURM_NODEID", 0)))


def check_nodes(trainer: DictConfig, folder_given: bool) -> None:
    """Raise ``InputError`` for machines that cannot find each other or do not share a folder.

    Without a given folder each machine would name its own by the time.
    """
    nodes = trainer.num_nodes
    if not isinstance(nodes, int) or nodes < 1:
        raise InputError(f"trainer.num_nodes={nodes}: expected an integer >= 1")
    if nodes == 1:
        return
    slurm_nodes = os.environ.get("SLURM_NNODES")
    if slurm_nodes is None and not {"NODE_RANK", "MASTER_ADDR"} <= os.environ.keys():
        raise InputError(
            f"trainer.num_nodes={nodes}: found neither SLURM nor NODE_RANK and MASTER_ADDR; "
            "expected the same command on every machine, started by srun or with these two set"
        )
    if slurm_nodes is not None and int(slurm_nodes) != nodes:
        raise InputError(
            f"trainer.num_nodes={nodes}: found SLURM_NNODES={slurm_nodes}; expected as many"
        )
    if not folder_given:
        raise InputError(
            f"trainer.num_nodes={nodes} needs a folder that all machines share; expected "
            "run_dir=<folder>"
        )


def rendezvous(nodes: int) -> list[str]:
    """Options of torchrun by which the ranks of all machines find each other."""
    if nodes == 1:
        return ["--standalone"]
    first, count = SLURM_PORTS
    port = os.environ.get("MASTER_PORT") or first + int(os.environ.get("SLURM_JOB_ID", 0)) % count
    return [
        f"--nnodes={nodes}",
        f"--node-rank={node_rank()}",
        f"--master-addr={_address()}",
        f"--master-port={port}",
    ]


def _address() -> str:
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    if address := os.environ.get("MASTER_ADDR"):
        return address
    return SLURMEnvironment.resolve_root_node_address(os.environ["SLURM_JOB_NODELIST"])
