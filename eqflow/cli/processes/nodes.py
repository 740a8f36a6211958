"""The machines that share one job: which of them this is, and where they meet.

Every machine runs the same command, one task each, and starts its own ranks: under SLURM, where
``srun`` or submitit does that, or by hand with ``NODE_RANK`` and ``MASTER_ADDR``.
"""

import os

from omegaconf import DictConfig

from eqflow.errors import InputError

SLURM_PORTS = 15_000, 10_000
"""First port and number of ports that SLURM jobs are spread over."""


def node_rank() -> int:
    """The place of this machine among those of the job; 0 where it is alone."""
    return int(os.environ.get("NODE_RANK", os.environ.get("SLURM_NODEID", 0)))


def check_nodes(trainer: DictConfig, named: bool) -> None:
    """Refuse several machines that cannot find each other, or a run folder they do not share.

    ``named`` tells whether the folder was given: by the time alone each would make its own.
    """
    nodes = trainer.num_nodes
    if not isinstance(nodes, int) or nodes < 1:
        raise InputError(f"trainer.num_nodes={nodes}: expected an integer >= 1")
    if nodes == 1:
        return
    found = os.environ.get("SLURM_NNODES")
    if found is None and not {"NODE_RANK", "MASTER_ADDR"} <= os.environ.keys():
        raise InputError(
            f"trainer.num_nodes={nodes}: found neither SLURM nor NODE_RANK and MASTER_ADDR; "
            "expected the same command on every machine, started by srun or with these two set"
        )
    if found is not None and int(found) != nodes:
        raise InputError(f"trainer.num_nodes={nodes}: found SLURM_NNODES={found}; expected as many")
    if not named:
        raise InputError(
            f"trainer.num_nodes={nodes} needs a folder that all machines share; expected "
            "run_dir=<folder>"
        )


def rendezvous(nodes: int) -> list[str]:
    """Options of torchrun that bring the ranks of all machines together."""
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
    from pytorch_lightning.plugins.environments import SLURMEnvironment

    if address := os.environ.get("MASTER_ADDR"):
        return address
    return SLURMEnvironment.resolve_root_node_address(os.environ["SLURM_JOB_NODELIST"])
