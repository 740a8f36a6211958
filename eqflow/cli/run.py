"""The stages of a run: score, flow, evaluate."""

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from omegaconf import DictConfig
from torch import distributed, nn

from callbacks import History, Preemption, Progress, finish, log_result
from eqflow.cli.checks import STAGES
from eqflow.cli.closing import tell_findings, tell_trained
from eqflow.cli.evaluation import Evaluation
from eqflow.cli.logs import quieten
from eqflow.cli.parts import (
    build,
    build_all,
    build_model,
    flow_options,
    plain,
    projection_options,
    score_options,
    warm_start,
)
from eqflow.cli.score_key import score_key
from eqflow.discovery import Discovery, Findings
from eqflow.errors import InputError, Pruned
from eqflow.evaluation import ComparedField, Protocol, Reference
from eqflow.fields import ExactNetwork
from eqflow.report.display import Display
from eqflow.report.page import StageRecord, write_report
from eqflow.runtime import rank_and_world, store
from eqflow.runtime.progress import doing, duration
from eqflow.score import TrainedScore
from eqflow.signals import on_signals
from eqflow.stationarity import Sums
from eqflow.training import (
    AtomicCheckpoints,
    LibraryModule,
    StageModule,
    discover,
    match_speed,
    pass_size,
    train_field,
    train_network,
    train_score,
    val_loader,
)

log = logging.getLogger("eqflow")


class Run:
    """One job: fills ``folder`` with what the stages of a checked config give."""

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        self.cfg, self.folder = cfg, folder
        self.metrics: dict[str, float] = {}
        self.history: dict[str, list[dict[str, float]]] = {}

    def execute(self) -> None:
        """Run the configured stages and close the loggers with the status of success or failure."""
        torch.set_num_threads(self.cfg.threads)
        torch.manual_seed(self.cfg.seed)
        quieten()
        self.loggers = build_all(self.cfg.logger)
        failed = True
        try:
            for logger in self.loggers:
                logger.log_hyperparams(plain(self.cfg))
            self._prepare()
            self._complete("score", self.model.score, self._train_score)
            if isinstance(self.model.field, ExactNetwork):
                self._complete("network", self.model.field.origin, self._train_network)
            self._complete("flow", self.model.field, self._train_flow)
            match_speed(self.model, self.data.snapshots.known_velocities)
            if "evaluate" in self.cfg.stages:
                self._evaluate()
            elif rank_and_world()[0] == 0:
                self._leave()
            failed = False
        except Pruned:
            failed = False
            raise
        finally:
            with on_signals(signal.SIG_IGN, signal.SIGTERM):  # some send it twice
                finish(self.loggers, failed)

    def _prepare(self) -> None:
        started = time.perf_counter()
        self.data = build(self.cfg.data)
        self.data.setup()
        self.metrics["time/data_s"] = time.perf_counter() - started
        snapshots = self.data.snapshots
        self.model = build_model(self.cfg, snapshots.train, snapshots.names)
        self.model.standardiser = snapshots.standardiser
        self.warm = warm_start(self.cfg, self.model)
        sizes = f"{len(snapshots.train)} snapshots to train, {len(snapshots.test)} held out"
        log.info("data: %s, in %s", sizes, duration(self.metrics["time/data_s"]))

    def _checkpoint(self, stage: str) -> Path:
        return self.folder / "checkpoints" / f"{stage}.ckpt"

    def _complete(self, stage: str, part: nn.Module, train: Callable[[Path], None]) -> None:
        """Load ``part`` as it is after ``stage``, training it first unless the folder has it.

        Nothing is done if neither this stage nor a later one is asked for.
        """
        later = STAGES[STAGES.index("flow" if stage == "network" else stage) :]
        if not set(later) & set(self.cfg.stages):
            return
        path = self._checkpoint(stage)
        if _agreed(not path.is_file()):
            train(path)
            _barrier()
        else:
            log.info("%s: was done before", stage)
        content = store.load_stage(path, "stages")
        store.fill(part, content["state_dict"], f"{path}")
        self.history[stage] = content["history"]
        if "findings" in content:
            self.model.findings = Findings(**content["findings"])
        self.metrics[f"time/{stage}_s"] = content["seconds"]

    def _train_score(self, path: Path) -> None:
        """Train the score, or take it from the cache where the same one was trained before."""
        key = score_key(self.cfg, self.model, self.warm)
        cached = Path(self.cfg.cache_dir) / "score" / f"{key}.ckpt"
        with _alone(cached):
            store.remove_leftovers(cached.parent, cached.name)
            if _agreed(cached.is_file()):
                if isinstance(self.model.score, TrainedScore):
                    log.info("score: taken from the cache")
            elif "score" in self.cfg.stages:
                with self._saved("score", self.model.score, cached):
                    train_score(self.model, self._fit, **score_options(self.cfg))
            else:
                raise InputError("stages: no score trained for this configuration; expected score")
            _barrier()
            if rank_and_world()[0] == 0:
                with store.replacing(path) as temporary:
                    shutil.copyfile(cached, temporary)

    def _train_network(self, path: Path) -> None:
        """Train the network that an exact field is drawn to."""
        field = cast(ExactNetwork, self.model.field)
        with self._saved("network", field.origin, path):
            train_network(field, self.data.snapshots, self._fit, **flow_options(self.cfg))

    def _train_flow(self, path: Path) -> None:
        data, exact = self.data.snapshots, isinstance(self.model.field, ExactNetwork)
        options = projection_options(self.cfg) if exact else flow_options(self.cfg)
        with self._saved("flow", self.model.field, path):
            if self.cfg.flow.family == "library":
                log.info("flow: looking for equations, by a library")
                with doing("flow"):
                    discover(self.model, data, self._passed, **options)
            else:
                train_field(self.model, data, self._fit, **options)

    @contextmanager
    def _saved(self, stage: str, part: nn.Module, path: Path) -> Iterator[None]:
        """Write the ``part`` that the block trains to ``path``, with its curves and findings."""
        started = time.perf_counter()
        self.curves: list[dict[str, float]] = []
        yield
        seconds = time.perf_counter() - started
        if rank_and_world()[0] == 0:
            content = {"state_dict": part.state_dict(), "history": self.curves}
            if stage == "flow" and self.model.findings:
                content["findings"] = asdict(self.model.findings)
            store.save_stage(path, stage, content | {"seconds": seconds})
        if self.curves or stage != "score":  # a score of closed form is not trained
            log.info("%s: done in %s", stage, duration(seconds))

    def _fit(self, module: StageModule) -> None:
        """Train a module under the configured trainer, from ``last.ckpt`` where it was stopped."""
        callbacks, limit = build_all(self.cfg.callbacks), self.cfg.trainer.max_steps
        steps = module.steps if limit < 0 else min(limit, module.steps)
        trainer = build(
            self.cfg.trainer,
            max_steps=steps,
            logger=self.loggers,
            callbacks=[*callbacks, Preemption(self._checkpoint("last"))],
            plugins=AtomicCheckpoints(),
            default_root_dir=str(self.folder),
        )
        last = self._last(module.stage)
        log.info("%s: %s steps%s", module.stage, steps, ", continued" if last else "")
        trainer.fit(module, datamodule=self.data, ckpt_path=last)
        if trainer.global_step != steps:
            raise RuntimeError(f"{module.stage} ended at step {trainer.global_step} of {steps}")
        self.curves = next(c.rows for c in callbacks if isinstance(c, History))

    def _passed(self, discovery: Discovery) -> Sums:
        """Sums of a library's moments over all snapshots that it is fitted to."""
        module = LibraryModule(discovery, self._checkpoint("last"))
        seen = module.resume() if self._last("flow") else 0
        bars = [c for c in build_all(self.cfg.callbacks) if isinstance(c, Progress)]
        callbacks = [*bars, Preemption(module.last)]
        trainer = build(self.cfg.trainer, logger=False, callbacks=callbacks)
        states = self.data.snapshots.train[seen : discovery.fitted]
        trainer.test(module, val_loader(states, pass_size(discovery.field.shape)), verbose=False)
        return module.total

    def _last(self, stage: str) -> str | None:
        """``last.ckpt`` of an interrupted stage, if that is what the folder holds."""
        path = self._checkpoint("last")
        if not (self.cfg.resume and path.is_file()):
            return None
        return str(path) if store.load_stage(path, "resume")["stage"] == stage else None

    def _evaluate(self) -> None:
        started = time.perf_counter()
        log.info("evaluate: up to %g transit times", max(self.cfg.protocol.horizons))
        trainer = build(self.cfg.trainer, logger=False, enable_checkpointing=False)
        device = trainer.strategy.root_device
        snapshots, model = self.data.snapshots.to(device), self.model.eval().to(device)
        integrator = build(self.cfg.integrator)
        fields = Evaluation(self.cfg, model, snapshots, integrator).measured()
        self.metrics |= {f"{f.prefix}{name}": v for f in fields for name, v in f.numbers.items()}
        self.metrics["time/evaluate_s"] = time.perf_counter() - started
        log.info("evaluate: done in %s", duration(self.metrics["time/evaluate_s"]))
        if rank_and_world()[0] == 0:
            store.write_json(self.folder / "metrics.json", self.metrics)
            model.save(self.folder / "flow")
            times = {
                n.removeprefix("time/").removesuffix("_s"): v
                for n, v in self.metrics.items()
                if n.startswith("time/")
            }
            log.info("page: drawing figures")
            display = Display(model, snapshots, integrator, self.cfg.seed)
            config = plain(self.cfg)
            write_report(self.folder, config, fields, StageRecord(self.history, times), display)
            log_result(self.loggers, self.metrics, self.folder)
            tell_findings(fields)
            log.info("page: %s", self.folder / "report.html")

    def _leave(self) -> None:
        """Save the field of a run that is not evaluated, and say what was trained."""
        field = None
        if "flow" in self.history:
            self.model.save(self.folder / "flow")
            parts = (self.cfg.flow.family, self.model.field)
            reference = Reference(self.data.snapshots, self.model.field.sigma, Protocol())
            field = ComparedField("own", *parts, reference, findings=self.model.findings)
        tell_trained(self.folder, field)


def _agreed(mine: bool) -> bool:
    """The first process's answer for all: a file does not appear to all at the same time."""
    answer = [mine]
    if rank_and_world()[1] > 1:
        distributed.broadcast_object_list(answer)
    return answer[0]


def _barrier() -> None:
    if rank_and_world()[1] > 1:
        distributed.barrier()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of ``path`` in the first process while all processes are inside."""
    with store.locked(path) if rank_and_world()[0] == 0 else nullcontext():
        _barrier()
        yield
