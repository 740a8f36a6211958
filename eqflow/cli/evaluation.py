"""The evaluate stage: the run's field, those beside it and the nulls, all by the same calls."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

from omegaconf import DictConfig

from eqflow.cli.parts import alike, build, build_discovery, build_other, noise_level
from eqflow.data import Snapshots
from eqflow.discovery import Findings
from eqflow.evaluation import Protocol, evaluate, evaluate_members, random_skew_similarity
from eqflow.fields import SCORED, Ensemble, Library, VelocityField
from eqflow.model import FlowModel
from eqflow.runtime import rank_and_world
from eqflow.training import noised_batches

MEMBERS = "beside/members/"
"""Prefix of the measures of an ensemble's members; the run's own field is the medoid."""


class Evaluation:
    """Every field that a config compares, by the prefix of its measures.

    What was found about libraries is in ``findings``, by prefix, and is added to.
    """

    def __init__(
        self,
        cfg: DictConfig,
        model: FlowModel,
        snapshots: Snapshots,
        findings: dict[str, Findings],
    ) -> None:
        self.cfg, self.model, self.snapshots = cfg, model, snapshots
        self.findings, self.integrator = findings, build(cfg.integrator)
        self.fields: dict[str, VelocityField] = {"": model.field}
        if isinstance(model.field, Ensemble):
            self.fields[MEMBERS] = model.field
        for group, families in (("beside", cfg.beside), ("null", cfg.nulls)):
            for family in filter(self._comparable, families):
                self._add(f"{group}/{family}/", family)

    def measures(self) -> dict[str, float]:
        """All numbers, by prefix and name."""
        # several processes must meet in the same order; one fills its cores with fields
        alone = rank_and_world()[1] == 1 and self.snapshots.train.device.type == "cpu"
        with ThreadPoolExecutor((os.cpu_count() or 1) if alone else 1) as pool:
            measured = zip(self.fields, pool.map(self._measure, self.fields), strict=True)
            return {
                f"{prefix}{name}": number
                for prefix, numbers in measured
                for name, number in numbers.items()
            }

    def _measure(self, prefix: str) -> dict[str, float]:
        family = prefix.split("/")[1] if prefix else self.cfg.flow.family
        sigma = noise_level(self.cfg, family)
        parts = (self.model.score, self.snapshots, self.integrator, sigma, self._protocol(prefix))
        if prefix == "null/random_skew/":
            return random_skew_similarity(*parts, **alike(self.cfg, self.model, "random_skew"))
        if prefix == MEMBERS:
            ensemble = cast(Ensemble, self.model.field)
            return evaluate_members(
                ensemble, self.cfg.flow.family, *parts, **self.model.config["field"]
            )
        numbers = evaluate(self.fields[prefix], *parts)
        found = self.findings.get(prefix)
        return numbers | (found.numbers() if found else {})

    def _comparable(self, family: str) -> bool:
        """Not the run's own, nor one of the smoothed law beside one of the snapshots themselves."""
        clean = not noise_level(self.cfg, self.cfg.flow.family)
        return family != self.cfg.flow.family and not (clean and family in SCORED)

    def _add(self, prefix: str, family: str) -> None:
        states = self.snapshots.train
        field = build_other(self.cfg, self.model, family).to(states.device)
        if isinstance(field, Library):
            found = build_discovery(self.cfg, field, self.snapshots).run()
            self.findings[prefix] = found
        noised = noised_batches(states, noise_level(self.cfg, family))
        self.fields[prefix] = field.normalise_(noised)

    def _protocol(self, prefix: str) -> Protocol:
        full = Protocol(**self.cfg.protocol, seed=self.cfg.seed)
        if not prefix.startswith("null/") and prefix != MEMBERS:
            return full
        horizons = [h for h in full.horizons if h <= self.cfg.null_horizon]
        few = -(-full.chaos // 4)
        return replace(full, horizons=horizons or full.horizons[:1], transport=False, chaos=few)
