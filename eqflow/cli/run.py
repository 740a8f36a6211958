"""The stages of a run: score, flow, evaluate."""

import logging
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import torch
from omegaconf import DictConfig
from torch import distributed, nn

from callbacks import History, Preemption, finish, log_result
from eqflow import store
from eqflow.cli.checks import STAGES
from eqflow.cli.exits import on_sigterm
from eqflow.cli.parts import (
    alike,
    build,
    build_all,
    build_discovery,
    build_model,
    build_module,
    build_other,
    noise_level,
    plain,
    warm_start,
)
from eqflow.cli.resume import user_files
from eqflow.discovery import Discovery
from eqflow.errors import InputError, Pruned
from eqflow.evaluation import Protocol, evaluate, evaluate_members, random_skew_similarity
from eqflow.fields import SCORED, Ensemble, Library, Stream, VelocityField
from eqflow.findings import Findings
from eqflow.model import FlowModel
from eqflow.processes import rank_and_world
from eqflow.report import write_report
from eqflow.snapshots import Snapshots
from eqflow.stationarity import Sums
from eqflow.training import (
    AtomicCheckpoints,
    LibraryModule,
    noised_batches,
    pass_size,
    val_loader,
    warn_of_asymmetry,
)
from eqflow.version import __version__

MEMBERS = "beside/members/"
"""Prefix of the measures of an ensemble's members; the run's own field is the medoid."""

log = logging.getLogger("eqflow")


class Run:
    """One job: a checked config and the folder it fills."""

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        self.cfg, self.folder = cfg, folder
        self.metrics: dict[str, float] = {}
        self.history: dict[str, list[dict[str, float]]] = {}
        self.findings: dict[str, Findings] = {}

    def execute(self) -> None:
        """Run the configured stages and end the loggers with the status they deserve."""
        torch.set_num_threads(self.cfg.threads)
        torch.manual_seed(self.cfg.seed)
        _quieten()
        self.loggers = build_all(self.cfg.logger)
        failed = True
        try:
            for logger in self.loggers:
                logger.log_hyperparams(plain(self.cfg))
            self._prepare()
            self._complete("score", self.model.score, self._train_score)
            self._complete("flow", self.model.field, self._train_flow)
            if "evaluate" in self.cfg.stages:
                self._evaluate()
            elif "flow" in self.cfg.stages and rank_and_world()[0] == 0:
                self.model.save(self.folder / "flow")
            failed = False
        except Pruned:
            failed = False
            raise
        finally:
            with on_sigterm(signal.SIG_IGN):  # some send it twice
                finish(self.loggers, failed)

    def _prepare(self) -> None:
        started = time.perf_counter()
        self.data = build(self.cfg.data)
        self.data.setup()
        self.metrics["time/data_s"] = time.perf_counter() - started
        self.model = build_model(self.cfg, self.data.snapshots.train)
        self.model.standardiser = self.data.snapshots.standardiser
        self.warm = warm_start(self.cfg, self.model)

    def _checkpoint(self, stage: str) -> Path:
        return self.folder / "checkpoints" / f"{stage}.ckpt"

    def _complete(self, stage: str, part: nn.Module, train: Callable[[Path], None]) -> None:
        """Bring ``part`` to the end of ``stage``, if it or a later one is asked for.

        From the folder's checkpoint, or by training it; a score also from the cache.
        """
        later = STAGES[STAGES.index(stage) :]
        if not set(later) & set(self.cfg.stages):
            return
        path = self._checkpoint(stage)
        if _agreed(not path.is_file()):
            train(path)
            _barrier()
        content = store.load_stage(path, "stages")
        store.fill(part, content["state_dict"], f"{path}")
        self.history[stage] = content["history"]
        if "findings" in content:
            self.model.findings = self.findings[""] = Findings(**content["findings"])
        self.metrics[f"time/{stage}_s"] = content["seconds"]

    def _train_score(self, path: Path) -> None:
        """Train the score, or take it from the cache where the same one was trained before."""
        cached = Path(self.cfg.cache_dir) / "score" / f"{self._score_key()}.ckpt"
        with _alone(cached):
            store.clear(cached.parent, cached.name)
            if _agreed(cached.is_file()):
                log.info("score: taken from the cache")
            elif "score" in self.cfg.stages:
                self._fit("score", self.model.score, cached)
            else:
                raise InputError("stages: no score trained for this configuration; expected score")
            _barrier()
            if rank_and_world()[0] == 0:
                with store.replacing(path) as temporary:
                    shutil.copyfile(cached, temporary)

    def _train_flow(self, path: Path) -> None:
        if isinstance(self.model.field, Library):
            self._discover(self.model.field, path)
        else:
            self._fit("flow", self.model.field, path)

    def _discover(self, field: Library, path: Path) -> None:
        """Fit a library: one pass over the snapshots, then the choice of its terms."""
        started = time.perf_counter()
        discovery = build_discovery(self.cfg, field, self.data.snapshots)
        total = None if discovery.sampled else self._passed(discovery)
        if rank_and_world()[0] == 0:
            found = asdict(discovery.run(total))
            content = {"state_dict": field.state_dict(), "history": [], "findings": found}
            seconds = time.perf_counter() - started
            store.save_stage(path, "flow", {**content, "seconds": seconds})

    def _passed(self, discovery: Discovery) -> Sums:
        """Sums over all snapshots that a library is fitted to."""
        module = LibraryModule(discovery, self._checkpoint("last"))
        seen = module.resume() if self._last("flow") else 0
        trainer = build(
            self.cfg.trainer,
            logger=False,
            enable_checkpointing=False,
            callbacks=[Preemption(module.last)],
        )
        states = self.data.snapshots.train[seen : discovery.fitted]
        size = pass_size(discovery.field.shape)
        trainer.test(module, val_loader(states, size), verbose=False)
        return module.total

    def _fit(self, stage: str, part: nn.Module, path: Path) -> None:
        """Train a stage's module, if it has one, and save the part it trained."""
        started, rows = time.perf_counter(), []
        states = self.data.snapshots.train
        labels = self.data.snapshots.labels
        if module := build_module(self.cfg, self.model, stage, states, labels):
            callbacks = build_all(self.cfg.callbacks)
            limit = self.cfg.trainer.max_steps
            steps = module.steps if limit < 0 else min(limit, module.steps)
            trainer = build(
                self.cfg.trainer,
                max_steps=steps,
                logger=self.loggers,
                callbacks=[*callbacks, Preemption(self._checkpoint("last"))],
                plugins=AtomicCheckpoints(),
                default_root_dir=str(self.folder),
            )
            trainer.fit(module, datamodule=self.data, ckpt_path=self._last(stage))
            if trainer.global_step != steps:
                raise RuntimeError(f"{stage} ended at step {trainer.global_step} of {steps}")
            rows = next(c.rows for c in callbacks if isinstance(c, History))
        part.requires_grad_(False).float()
        if stage == "flow":
            sigma = noise_level(self.cfg, self.cfg.flow.family)
            self.model.field.normalise_(noised_batches(states, sigma))
        if rank_and_world()[0] == 0:
            if isinstance(part, Stream):
                warn_of_asymmetry(part, states)
            content = {"state_dict": part.state_dict(), "history": rows}
            store.save_stage(path, stage, content | {"seconds": time.perf_counter() - started})

    def _last(self, stage: str) -> str | None:
        """``last.ckpt`` of an interrupted stage, if that is what the folder holds."""
        path = self._checkpoint("last")
        if not (self.cfg.resume and path.is_file()):
            return None
        return str(path) if store.load_stage(path, "resume")["stage"] == stage else None

    def _score_key(self) -> str:
        """Hash of all that determines the trained score (DESIGN section 3)."""
        cfg, files = self.cfg, user_files(self.cfg)
        if self.warm != "score":
            files.pop(cfg.ckpt_path, None)
        files.pop(cfg.data.get("labels"), None)
        aside = (
            "path",
            "groups",
            "labels",
            "epoch_steps",
            "cache_dir",
            "symmetrise",
        )  # the last is of its use alone
        built, asked = self.model.config["score"], plain(cfg.score)
        data, score = (
            {name: value for name, value in node.items() if name not in aside}
            # fields of the snapshots themselves are built on another score than the one asked for
            for node in (plain(cfg.data), asked if built["name"] == asked["name"] else built)
        )
        return store.content_hash(
            {
                "data": data,
                "score": score,
                "seed": cfg.seed,
                "precision": cfg.trainer.precision,
                "limits": [cfg.trainer.max_steps, cfg.trainer.get("limit_train_batches")],
                "version": __version__,
                "files": sorted(files.values()),
            }
        )

    def _evaluate(self) -> None:
        started = time.perf_counter()
        cfg = self.cfg
        trainer = build(cfg.trainer, logger=False, enable_checkpointing=False)
        device = trainer.strategy.root_device
        snapshots, model = self.data.snapshots.to(device), self.model.eval().to(device)
        fields, integrator = self._fields(model, snapshots), build(cfg.integrator)

        def measure(prefix: str) -> dict[str, float]:
            sigma = noise_level(cfg, self._family(prefix))
            parts = (model.score, snapshots, integrator, sigma, self._protocol(prefix))
            if prefix == "null/random_skew/":
                numbers = random_skew_similarity(*parts, **alike(cfg, model, "random_skew"))
            elif prefix == MEMBERS:
                ensemble = cast(Ensemble, model.field)
                numbers = evaluate_members(ensemble, cfg.flow.family, *parts)
            else:
                numbers = evaluate(fields[prefix], *parts)
            if prefix in self.findings:
                numbers |= self.findings[prefix].numbers()
            return {f"{prefix}{name}": value for name, value in numbers.items()}

        # several processes must meet in the same order; one fills its cores with fields
        alone = rank_and_world()[1] == 1 and device.type == "cpu"
        with ThreadPoolExecutor((os.cpu_count() or 1) if alone else 1) as pool:
            for numbers in pool.map(measure, fields):
                self.metrics |= numbers
        self.metrics["time/evaluate_s"] = time.perf_counter() - started
        if rank_and_world()[0] == 0:
            store.write_json(self.folder / "metrics.json", self.metrics)
            model.speed = self.metrics.get("labels/speed")
            model.save(self.folder / "flow")
            write_report(
                self.folder,
                plain(cfg),
                self.metrics,
                self.history,
                model,
                fields,
                snapshots,
                self.findings,
            )
            log_result(self.loggers, self.metrics, self.folder)

    def _fields(self, model: FlowModel, snapshots: Snapshots) -> dict[str, VelocityField]:
        """The run's field, those beside it and the nulls, by the prefix of their measures."""
        cfg, fields = self.cfg, {"": model.field}
        if isinstance(model.field, Ensemble):
            fields[MEMBERS] = model.field
        clean = not noise_level(cfg, cfg.flow.family)
        for group, families in (("beside", cfg.beside), ("null", cfg.nulls)):
            for family in families:
                # a field of the smoothed law is no comparison for one of the snapshots themselves
                if family == cfg.flow.family or (clean and family in SCORED):
                    continue
                field = build_other(cfg, model, family).to(snapshots.train.device)
                if isinstance(field, Library):
                    found = build_discovery(cfg, field, snapshots).run()
                    self.findings[f"{group}/{family}/"] = found
                states = noised_batches(snapshots.train, noise_level(cfg, family))
                fields[f"{group}/{family}/"] = field.normalise_(states)
        return fields

    def _family(self, prefix: str) -> str:
        return prefix.split("/")[1] if prefix else self.cfg.flow.family

    def _protocol(self, prefix: str) -> Protocol:
        full = Protocol(**self.cfg.protocol, seed=self.cfg.seed)
        if not prefix.startswith("null/") and prefix != MEMBERS:
            return full
        horizons = [h for h in full.horizons if h <= self.cfg.null_horizon]
        few = -(-full.chaos // 4)
        return replace(full, horizons=horizons or full.horizons[:1], transport=False, chaos=few)


def _quieten() -> None:
    """Leave out the framework's advertisements and advice on a choice made on purpose here."""
    logging.raiseExceptions = False  # a line that a full disk does not take is not worth a page
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")


def _agreed(mine: bool) -> bool:
    """The first process's answer, for all of them: files appear at different times to each."""
    answer = [mine]
    if rank_and_world()[1] > 1:
        distributed.broadcast_object_list(answer)
    return answer[0]


def _barrier() -> None:
    if rank_and_world()[1] > 1:
        distributed.barrier()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of ``path`` on the first process while all of them are inside."""
    with store.locked(path) if rank_and_world()[0] == 0 else nullcontext():
        _barrier()
        yield
