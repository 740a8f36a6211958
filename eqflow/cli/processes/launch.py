"""Launcher of a job, in this process or in one process per device.

Ranks start from the job's resolved config: its command line could be that of a whole sweep.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf

from eqflow.cli.checks import keep_caches_in
from eqflow.cli.logs import introduce
from eqflow.cli.processes.nodes import node_rank, rendezvous
from eqflow.cli.resume import RESOLVED_CONFIG, user_files
from eqflow.cli.status import Value
from eqflow.errors import InputError, Pruned
from eqflow.signals import end, on_signals

FAILURE_FILE_VARIABLE = "TORCHELASTIC_ERROR_FILE"
"""Environment variable with the file in which torchrun keeps the reason of a failed rank."""


PR_SET_PDEATHSIG = 1
"""Number of Linux's ``prctl`` for the signal that a process gets when its parent ends."""


def launch(cfg: DictConfig) -> Value:
    """Run a job, in this process or in one per device, and return the tuned metric."""
    from eqflow.cli.parts import plain
    from eqflow.runtime import replacing

    folder = Path(cfg.run_dir)
    if node_rank() == 0:
        stored = OmegaConf.create(OmegaConf.to_container(cfg))
        with replacing(folder / RESOLVED_CONFIG) as temporary:
            OmegaConf.save(OmegaConf.merge(stored, {"files": user_files(cfg)}), temporary)
        introduce(cfg)
        if cfg.print_config:
            show(cfg)
    keep_caches_in(Path(cfg.cache_dir).resolve())
    if cfg.trainer.devices * cfg.trainer.num_nodes > 1:
        _spawn(folder, cfg.trainer)
    else:
        work(cfg)
    metrics = json.loads((folder / "metrics.json").read_text()) if "evaluate" in cfg.stages else {}
    return tuned(plain(cfg)["metric"], metrics)


def show(cfg: DictConfig) -> None:
    """Print a config as a tree with a branch for each part."""
    from rich import print as printed
    from rich.syntax import Syntax
    from rich.tree import Tree

    from eqflow.cli.parts import plain

    tree = Tree("config")
    for name, part in plain(cfg).items():
        if isinstance(part, dict):
            tree.add(name).add(Syntax(OmegaConf.to_yaml(part), "yaml"))
        else:
            tree.add(f"{name}: {part}")
    printed(tree)


def tuned(metric: str | list[str] | None, metrics: dict[str, float]) -> Value:
    """Values of the configured metrics; for None the rank, which fields of all families have.

    Raises ``InputError`` for a configured metric that was not measured.
    """
    from eqflow.evaluation import RANK

    if metric is None or not metrics:
        return metrics.get(RANK)
    names = [metric] if isinstance(metric, str) else metric
    for name in names:
        if name not in metrics:
            raise InputError(
                f"metric={name} was not measured; expected one of {', '.join(metrics)}"
            )
    values = [metrics[name] for name in names]
    return values[0] if isinstance(metric, str) else values


def work(cfg: DictConfig) -> None:
    """Run the stages in this process."""
    from eqflow.cli.run import Run

    with on_signals(end):
        Run(cfg, Path(cfg.run_dir)).execute()


def _spawn(folder: Path, trainer: DictConfig) -> None:
    """Run the ranks of this machine; raises the exception of the first that failed."""
    launcher = ["eqflow.cli.processes.torchrun", *rendezvous(trainer.num_nodes)]
    launcher += [f"--nproc-per-node={trainer.devices}", "-m", "eqflow.cli.processes.rank"]
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with TemporaryDirectory() as place:
        failure = Path(place) / "failure.json"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        environment[FAILURE_FILE_VARIABLE] = str(failure)
        if code := _waited([sys.executable, "-m", *launcher, str(folder)], environment):
            raise _reason(failure, code)


def _waited(arguments: list[str], environment: dict[str, str]) -> int:
    # in a session of its own: of Ctrl-C it hears from here alone, as of SIGTERM
    ranks = subprocess.Popen(
        arguments, env=environment, preexec_fn=_end_with_parent, start_new_session=True
    )
    try:
        with on_signals(end):
            return ranks.wait()
    finally:
        ranks.terminate()
        ranks.wait()  # until they have saved what they trained


def _end_with_parent() -> None:
    """Ask Linux to end torchrun, and with it the ranks, if this process is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _reason(failure: Path, code: int) -> Exception:
    """Exception of the rank that failed first, from the file that torchrun wrote."""
    if not failure.is_file():
        return RuntimeError(f"a process ended with code {code}")
    message = json.loads(failure.read_text())["message"]
    name, _, text = (message if isinstance(message, str) else message["message"]).partition(": ")
    known = {kind.__name__: kind for kind in (InputError, Pruned)}
    return known[name](text) if name in known else RuntimeError(f"a process failed: {name}: {text}")
