"""A score, a velocity field on it and the units of the data: what a run ends with and saves."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from eqflow.data import Standardiser, channelwise
from eqflow.discovery import Findings
from eqflow.errors import InputError
from eqflow.fields import Library, build_ensemble, build_exact
from eqflow.runtime import replacing, write_json
from eqflow.score import build_score

FORMAT = 2

KEPT_NUMBERS = 2**20
"""Numbers, 4 MiB of them, in the snapshots that a model keeps to start sampling from."""


def check_sigma(sigma: float) -> None:
    """Raise ``InputError`` unless ``sigma`` is a noise level."""
    if not sigma > 0:
        raise InputError(f"flow.sigma={sigma} is not a noise level; expected sigma > 0")


class FlowModel(nn.Module):
    """Score, field and standardiser, built from names and numbers alone.

    ``score`` holds the registered name and the arguments of the score, ``field`` the arguments of
    the field of that ``family``, or of as many as ``ensemble`` says, drawn by ``field_seed`` if it
    is not ``seed``; ``exact`` is the size of the exact field that a network is replaced by, if it
    is; ``points`` are the training snapshots, standardised, which the empirical score keeps,
    ``snapshots`` their number, ``starts`` those that sampling starts from; ``names`` are those of
    the features, if they have any; ``findings`` are those of a fitted library and ``speed`` that of
    known velocities, in units of the field's. Raises ``InputError`` for ``sigma <= 0`` and unknown
    names.
    """

    starts: Tensor | None

    def __init__(
        self,
        shape: tuple[int, ...],
        points: Float[Tensor, "points *shape"],
        family: str = "network",
        sigma: float = 0.2,
        seed: int = 0,
        score: dict[str, Any] | None = None,
        field: dict[str, Any] | None = None,
        ensemble: int = 1,
        exact: dict[str, Any] | None = None,
        field_seed: int | None = None,
        field_sigma: float | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        check_sigma(sigma)
        score, field = {"name": "mlp", **(score or {})}, dict(field or {})
        self.sigma, self.shape = sigma, tuple(shape)
        self.config: dict[str, Any] = {
            "family": family,
            "sigma": sigma,
            "seed": seed,
            "score": score,
            "field": field,
            "ensemble": ensemble,
            "exact": exact,
            "field_seed": field_seed,
            "field_sigma": field_sigma,
            "names": list(names) if names else None,
        }
        self.score = build_score(shape=self.shape, points=points, seed=seed, **score)
        self.score.check_level(sigma)
        level = sigma if field_sigma is None else field_sigma
        drawn = seed if field_seed is None else field_seed
        parts = (family, self.shape, self.score, level, drawn)
        self.field = build_ensemble(ensemble, *parts, **field)
        if exact is not None:
            self.field = build_exact(self.field, self.score, level, drawn, **exact)
        if isinstance(self.field, Library):
            self.field.names = names
        self.snapshots = len(points)
        starts = points[: 1 + KEPT_NUMBERS // prod(self.shape)]
        self.register_buffer("starts", starts.clone())
        self.findings: Findings | None = None
        self.speed: float | None = None
        units = channelwise(self.shape)
        self.standardiser = Standardiser(torch.zeros(units), torch.ones(units))

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        starts = self.starts if self.starts is not None else torch.empty(0, *self.shape)
        points = getattr(self.score, "points", starts)
        with replacing(folder / "model.safetensors") as temporary:
            save_model(self, str(temporary))
        write_json(
            folder / "config.json",
            {
                "format": FORMAT,
                "shape": self.shape,
                "points": len(points),
                "snapshots": self.snapshots,
                "starts": self.starts is not None,
                "speed": self.speed,
                **self.config,
            },
        )
        if self.findings:
            write_json(folder / "findings.json", asdict(self.findings))

    @classmethod
    def load(cls, folder: Path) -> "FlowModel":
        """Read what :meth:`save` wrote; raises ``InputError`` for anything else."""
        try:
            config = json.loads((folder / "config.json").read_text())
            if not isinstance(config, dict) or config.pop("format") != FORMAT:
                raise ValueError("written by another version")
            shape, speed = tuple(config.pop("shape")), config.pop("speed", None)
            points = config.pop("points")
            snapshots = config.pop("snapshots", points)  # absent in files of earlier states
            starts = config.pop("starts", False)  # likewise
            model = cls(shape, points=torch.zeros(points, *shape), **config)
            model.starts = model.starts if starts else None
            load_model(model, str(folder / "model.safetensors"))
            model.speed, model.snapshots = speed, snapshots
            findings = folder / "findings.json"
            if findings.is_file():
                model.findings = Findings(**json.loads(findings.read_text()))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise InputError(
                f"{folder}: not a saved flow ({error}); expected config.json and model.safetensors"
            ) from error
        return model.requires_grad_(False)
