"""The evaluate stage: the run's field, those beside it and the nulls, all by the same calls."""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cache
from typing import cast

from omegaconf import DictConfig

from eqflow.cli.exits import EVALUATION_THREADS
from eqflow.cli.parts import build_discovery, build_other, random_arguments
from eqflow.data import Snapshots
from eqflow.discovery import Findings
from eqflow.evaluation import (
    ComparedField,
    Protocol,
    Reference,
    evaluate,
    evaluate_members,
    evaluate_rest,
    evaluate_truth,
    random_skew_similarity,
)
from eqflow.evaluation.comparison import Role
from eqflow.fields import Ensemble, Library, VelocityField, family_of
from eqflow.model import FlowModel
from eqflow.runtime import rank_and_world
from eqflow.runtime.progress import INTERVAL, doing, duration
from eqflow.simulate import Integrator
from eqflow.training import noised_batches

log, progress = logging.getLogger("eqflow"), logging.getLogger("eqflow.progress")


class Evaluation:
    """Every field that a configuration compares, measured in the order of ``fields``."""

    def __init__(
        self, cfg: DictConfig, model: FlowModel, snapshots: Snapshots, integrator: Integrator
    ) -> None:
        self.cfg, self.model, self.snapshots, self.integrator = cfg, model, snapshots, integrator
        # fields at one noise level that are measured alike share their reference
        self.reference = cache(lambda sigma, protocol: Reference(snapshots, sigma, protocol))
        own = (cfg.flow.family, model.field)
        self.fields = [self._compared("own", *own, model.findings)]
        if model.field.members > 1:
            self.fields.append(self._compared("member", *own))
        self.fields += [self._other("beside", family) for family in self._comparable([*cfg.beside])]
        self.fields += [self._other("null", family) for family in self._comparable([*cfg.nulls])]

    def measured(self) -> list[ComparedField]:
        """All fields with their numbers."""
        self._tell_of_shorter_steps()
        # several processes must meet in the same order; one fills its cores with fields
        alone = rank_and_world()[1] == 1 and self.snapshots.train.device.type == "cpu"
        pool = ThreadPoolExecutor((os.cpu_count() or 1) if alone else 1, EVALUATION_THREADS)
        try:
            started = time.monotonic()
            measuring = [pool.submit(self._measured, field) for field in self.fields]
            while left := wait(measuring, INTERVAL).not_done:
                done = f"{len(measuring) - len(left)} of {len(measuring)} fields measured"
                progress.info("evaluate: %s in %s", done, duration(time.monotonic() - started))
            return [field.result() for field in measuring]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # who is interrupted waits for nothing

    def _tell_of_shorter_steps(self) -> None:
        """Log for which fields the integrator's time step is too long, and what is taken."""
        used = self.integrator
        limited = {f.name: used.limited(f.field.longest_step) for f in self.fields}
        shorter = [f"{name} ({i.dt:.3g})" for name, i in limited.items() if i is not used]
        if shorter:
            found = f"integrator.dt={used.dt:g} is too long for {', '.join(shorter)}"
            log.info("evaluate: %s; shorter steps are taken", found)

    def _measured(self, field: ComparedField) -> ComparedField:
        if not field.own and isinstance(field.field, Library):
            with doing(f"evaluate: {field.family}"):
                discovery = build_discovery(self.cfg, field.field, self.snapshots)
                field = replace(field, findings=discovery.run())
        parts = (self.model.score, field.reference, self.integrator)
        draws = family_of(field.family).similarity_draws
        if field.null and draws:
            arguments = random_arguments(self.cfg, self.model, field.family)
            return replace(field, numbers=random_skew_similarity(*parts, draws, **arguments))
        if field.role == "member":
            ensemble, arguments = cast(Ensemble, field.field), self.model.config["field"]
            numbers = evaluate_members(ensemble, field.family, *parts, **arguments)
            return replace(field, numbers=numbers)
        numbers = evaluate(field.field, *parts)
        if field.own:
            numbers |= evaluate_truth(field.field, field.reference, self.integrator)
            numbers |= evaluate_rest(*parts)
        return replace(
            field, numbers=numbers | (field.findings.numbers() if field.findings else {})
        )

    def _comparable(self, families: Sequence[str]) -> list[str]:
        """Not the run's own, nor a function of the score where the own field has none."""
        own = self.fields[0]
        return [
            family
            for family in families
            if family != own.family and (own.sigma or not family_of(family).needs_score)
        ]

    def _other(self, role: Role, family: str) -> ComparedField:
        states = self.snapshots.train
        field = build_other(self.cfg, self.model, family).to(states.device)
        if isinstance(field, Library):
            field.names = self.snapshots.names
        field.normalise_(noised_batches(states, field.sigma))
        return self._compared(role, family, field)

    def _compared(
        self, role: Role, family: str, field: VelocityField, findings: Findings | None = None
    ) -> ComparedField:
        reference = self.reference(field.sigma, self._protocol(role))
        return ComparedField(role, family, field, reference, findings=findings)

    def _protocol(self, role: Role) -> Protocol:
        """The full protocol, or a lighter one for members and, lighter still, for nulls."""
        full = Protocol(**self.cfg.protocol)
        if role in ("own", "beside"):
            return full
        horizons = [h for h in full.horizons if h <= self.cfg.null_horizon]
        few = -(-full.chaos // 4)
        light = replace(full, horizons=horizons or full.horizons[:1], transport=False, chaos=few)
        if role == "member":
            return light
        return replace(light, chaos_duration=full.chaos_duration / 4)
