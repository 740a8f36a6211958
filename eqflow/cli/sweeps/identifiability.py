"""Hydra's hook that reports identifiability after a sweep over how fields are made."""

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

SEED_OPTION = "flow.seed"
"""Swept option that is no factor: fields of equal factors differ by it."""


SIGMA_OPTION = "flow.sigma"
"""Option whose level is the noise level that a field lives at, 0 for fields of clean snapshots."""


log = logging.getLogger("eqflow")


class IdentifiabilityReport(Callback):
    """Hydra's hook after a sweep: ``identifiability.json``, ``.md`` and ``.png`` beside its jobs.

    Factors are the swept options; fields are those of all finished jobs, members of ensembles each.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from eqflow.report.sweep.identifiability import verdict, write_identifiability

        folder = Path(config.hydra.sweep.dir)
        with exit_codes():  # Hydra would show where it was raised, and go on
            compared = compared_fields(folder)
        write_identifiability(folder, compared)
        log.info("identifiability: %s", verdict(compared))


def compared_fields(folder: Path) -> "Identifiability":
    """The fields of a sweep at the held-out states of its first job, standardised as there.

    Raises:
        InputError: if no job was finished, if jobs are of several distributions, or if factors are
            not crossed evenly.
    """
    import torch

    from eqflow.cli.parts import build
    from eqflow.evaluation import identifiability
    from eqflow.model import FlowModel

    done = [job for job in jobs(folder) if (folder / job.name / "flow").is_dir()]
    if not done:
        raise InputError(f"{folder}: found no job with a field; expected stages=[score,flow]")
    configs = [DictConfig(OmegaConf.load(folder / job.name / RESOLVED_CONFIG)) for job in done]
    job_levels, data = factors(done, configs), build(configs[0].data)
    data.setup()
    x, units = data.snapshots.test, data.snapshots.standardiser
    models = (FlowModel.load(folder / job.name / "flow") for job in done)
    velocities = [_velocities(model, units.raw(x)) / units.std for model in models]
    levels = {
        name: [level for level, v in zip(values, velocities, strict=True) for _ in v]
        for name, values in job_levels.items()
    }
    truth = data.snapshots.velocity and data.snapshots.velocity(x)
    return identifiability(x, torch.cat(velocities).to(x), levels, truth)


def factors(done: Sequence[Job], configs: Sequence[DictConfig]) -> dict[str, list[Hashable]]:
    """Option that varies between jobs -> its level in each job.

    Raises ``InputError`` where the distribution of the snapshots varies.
    """
    from eqflow.cli.parts import field_level

    levels: dict[str, list[Hashable]] = {}
    for name in dict.fromkeys(name for job in done for name in job.overrides):
        if name == SIGMA_OPTION:
            levels[name] = [field_level(cfg) for cfg in configs]
        elif name != SEED_OPTION:
            levels[name] = [job.overrides.get(name) for job in done]
    varied = {name: values for name, values in levels.items() if len(set(values)) > 1}
    if "data" in varied:
        several = ",".join(map(str, dict.fromkeys(varied["data"])))
        raise InputError(
            f"data={several}: found fields of several distributions; expected those of one"
        )
    return varied


def _velocities(model: "FlowModel", x: "Tensor") -> "Tensor":
    """Raw velocities of every member of a model at raw states, ``(members, n, *shape)``."""
    z, field = model.standardiser.standard(x).float(), model.field
    return field.at_common_states(z) * model.standardiser.std
