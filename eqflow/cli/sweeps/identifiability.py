"""After a sweep over what fields are made by: how far the snapshots decide them."""

import logging
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from eqflow.cli.exits import exit_codes
from eqflow.cli.resume import RESOLVED_CONFIG
from eqflow.cli.sweeps.page import jobs
from eqflow.errors import InputError
from eqflow.report.sweep.comparison import Job

if TYPE_CHECKING:
    from torch import Tensor

    from eqflow.evaluation import Identifiability
    from eqflow.model import FlowModel

SEEDS = ("flow.seed",)
"""Swept options that tell fields of equal factors apart."""


NOISE = "flow.sigma"
"""The factor whose level is what a field lives at: fields of the snapshots themselves have none."""


log = logging.getLogger("eqflow")


class IdentifiabilityReport(Callback):
    """Hydra's hook after a sweep: ``identifiability.json``, ``.md`` and ``.png`` beside its jobs.

    Factors are the swept options, members the fields of all jobs that were finished.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from eqflow.report.sweep.identifiability import verdict, write_identifiability

        folder = Path(config.hydra.sweep.dir)
        with exit_codes():  # Hydra would show where it was raised, and go on
            found = compared_fields(folder)
        write_identifiability(folder, found)
        log.info("identifiability: %s", verdict(found))


def compared_fields(folder: Path) -> "Identifiability":
    """The fields of a sweep at the held-out states of its first job, standardised as there.

    Raises ``InputError`` where no job was finished, for jobs of several laws and for designs that
    do not tell factors apart.
    """
    import torch

    from eqflow.cli.parts import build
    from eqflow.evaluation import identifiability
    from eqflow.model import FlowModel

    done = [job for job in jobs(folder) if (folder / job.name / "flow").is_dir()]
    if not done:
        raise InputError(f"{folder}: found no job with a field; expected stages=[score,flow]")
    configs = [DictConfig(OmegaConf.load(folder / job.name / RESOLVED_CONFIG)) for job in done]
    varied, data = factors(done, configs), build(configs[0].data)
    data.setup()
    x, units = data.snapshots.test, data.snapshots.standardiser
    velocities = [
        _velocities(FlowModel.load(folder / job.name / "flow"), units.raw(x)) / units.std
        for job in done
    ]
    levels = {
        name: [level for level, v in zip(each, velocities, strict=True) for _ in v]
        for name, each in varied.items()
    }
    truth = data.snapshots.velocity and data.snapshots.velocity(x)
    return identifiability(x, torch.cat(velocities).to(x), levels, truth)


def factors(done: Sequence[Job], configs: Sequence[DictConfig]) -> dict[str, list[Hashable]]:
    """The level that each job has of every option that varies between them.

    Raises ``InputError`` where the law does.
    """
    from eqflow.cli.parts import field_level

    found: dict[str, list[Hashable]] = {}
    for name in dict.fromkeys(name for job in done for name in job.overrides):
        if name in SEEDS:
            continue
        if name == NOISE:
            found[name] = [field_level(cfg) for cfg in configs]
        else:
            found[name] = [job.overrides.get(name) for job in done]
    varied = {name: levels for name, levels in found.items() if len(set(levels)) > 1}
    if "data" in varied:
        laws = ",".join(map(str, dict.fromkeys(varied["data"])))
        raise InputError(f"data={laws}: found fields of several laws; expected those of one")
    return varied


def _velocities(model: "FlowModel", x: "Tensor") -> "Tensor":
    """Raw velocities of every member of a model at raw states, ``(members, n, *shape)``."""
    z, field = model.standardiser.standard(x).float(), model.field
    return field.at_common_states(z) * model.standardiser.std
