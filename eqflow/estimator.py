"""Equilibrium flow without Hydra: an array of snapshots in, dynamics out, all in raw units."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from eqflow.data import (
    KnownVelocities,
    Standardiser,
    check_states,
    checked_velocities,
    group_numbers,
    random_order,
    warn_if_not_periodic,
)
from eqflow.discovery import Discovery, Equations, Findings
from eqflow.errors import InputError
from eqflow.fields import Library, Stream, family_of, noise_level
from eqflow.model import FlowModel
from eqflow.runtime import Draws, generator, normal
from eqflow.score import EmpiricalScore, TrainedScore
from eqflow.simulate import RK4, HeunSDE, Stable
from eqflow.stationarity import Stationarity, functions_for, hotelling

if TYPE_CHECKING:
    import sympy

    from eqflow.training import StageModule

BATCH, BATCH_OF_IMAGES = 512, 8
"""Snapshots of a training step, where their number is not chosen."""


class EquilibriumFlow:
    """Continuous dynamics that keep the distribution of unordered snapshots as it is.

    Times are in transit times: snapshots do not determine the speed (method section 1). ``score``
    and ``field`` are arguments of the score and of the field, ``score_training`` and
    ``flow_training`` those of their training, in batches of ``batch_size``: ``BATCH`` vectors or
    ``BATCH_OF_IMAGES`` images if left out; ``ensemble`` fields are trained at once, and the one
    that is most like the others is what moves states. States go in and out raw, as numpy or torch
    alike.

    >>> flow = EquilibriumFlow(family="skew", score={"name": "empirical"})
    >>> flow.fit(np.random.default_rng(0).normal(size=(500, 2))).velocity(np.ones((3, 2))).shape
    (3, 2)
    """

    model: FlowModel

    def __init__(
        self,
        family: str = "network",
        sigma: float = 0.2,
        seed: int = 0,
        score: dict[str, Any] | None = None,
        field: dict[str, Any] | None = None,
        score_training: dict[str, Any] | None = None,
        flow_training: dict[str, Any] | None = None,
        batch_size: int | None = None,
        progress: bool = False,
        ensemble: int = 1,
    ) -> None:
        self.family, self.sigma, self.seed = family, sigma, seed
        self.score_arguments, self.field_arguments = score, field
        self.score_training, self.flow_training = score_training or {}, flow_training or {}
        self.batch_size, self.progress, self.ensemble = batch_size, progress, ensemble

    def fit(
        self,
        X: ArrayLike | Tensor,
        groups: ArrayLike | Tensor | None = None,
        velocities: tuple[ArrayLike | Tensor, ...] | None = None,
    ) -> "EquilibriumFlow":
        """Learn from raw snapshots, ``(N, d)``, or ``(N, C, H, W)`` on a periodic grid.

        ``groups`` (N,) label snapshots that are correlated, several of one run: a library's tests
        and intervals respect them. ``velocities`` are some states and their velocities, raw,
        ``(n, d)`` each, which a stream field or a network is fitted to. A warning names images
        that do not look periodic. Raises ``InputError`` for non-finite values, constant features
        and known velocities that do not belong to the snapshots.
        """
        x = torch.as_tensor(X, dtype=torch.double).cpu()
        check_states(x, "X")
        standardiser = Standardiser.of(x)
        if x.ndim == 4:
            warn_if_not_periodic(x, "X")
        runs = None if groups is None else _groups(groups, len(x))
        # the order of X means nothing
        order = random_order(len(x), runs, generator(self.seed, Draws.DATA))
        z, runs = standardiser.standard(x[order]).float(), None if runs is None else runs[order]
        known = None if velocities is None else _known_velocities(velocities, x)
        known = known and known.standardised(standardiser.mean, standardiser.std)
        level = noise_level(self.family, self.sigma, self.flow_training.get("condition", "strong"))
        score = self.score_arguments or (None if level else {"name": "empirical"})
        arguments = (self.sigma, self.seed, score, self.field_arguments, self.ensemble)
        shape = tuple(z.shape[1:])
        self.model = FlowModel(shape, z, self.family, *arguments, field_sigma=level)
        self.model.standardiser = standardiser
        if self._is_library:
            self._discover(z, runs)
        else:
            self._train(z, known)
        self.model.requires_grad_(False).eval()
        if known is not None:
            self.model.speed, _ = known.fit(self.model.field(known.x))
        return self

    @property
    def _is_library(self) -> bool:
        return self.family == "library"

    def _discover(self, z: Tensor, groups: Tensor | None) -> None:
        field, units = cast(Library, self.model.field), self.model.standardiser
        options = {"seed": self.seed, **self.flow_training}
        self.model.findings = Discovery(field, z, units, groups, **options).run()

    def _train(self, z: Tensor, velocities: KnownVelocities | None) -> None:
        from eqflow.training import flow_module, noised_batches, score_module, warn_of_asymmetry

        model, seed = self.model, self.seed
        if isinstance(model.score, TrainedScore):
            self._fit(score_module(model.score, seed=seed, **self.score_training), z)
        if family_of(self.family).trained:
            training = {
                "sigma": self.sigma,
                "seed": seed,
                "velocities": velocities,
                **self.flow_training,
            }
            if module := flow_module(model.field, model.score, z, **training):
                self._fit(module, z)
        model.field.normalise_(noised_batches(z, model.field.sigma))
        if isinstance(model.field, Stream):
            warn_of_asymmetry(model.field, z)

    def _fit(self, module: "StageModule", z: Tensor) -> None:
        from eqflow.training import quiet_trainer, train_loader

        trainer = quiet_trainer(module.steps, self.progress)
        size = self.batch_size or (BATCH if z.ndim == 2 else BATCH_OF_IMAGES)
        trainer.fit(module, train_loader(z, size, 100, self.seed))

    def velocity(self, x: ArrayLike | Tensor) -> Any:
        """Velocity at raw states, ``(n, *shape)``, in raw units per transit time."""
        z = self._standard(x)
        return _like(x, self.model.field(z) * self.model.standardiser.std)

    @property
    def speed(self) -> float | None:
        """Transit times per unit of the known velocities' time; ``velocity`` times it is theirs.

        None without known velocities, negative where the field runs against them: ``-v`` preserves
        what ``v`` preserves, and only stream fields and networks are fitted to velocities.
        """
        return self._fitted().speed

    def score(self, x: ArrayLike | Tensor) -> Any:
        """Score ``grad log p_sigma`` at raw states, per raw unit."""
        z = self._standard(x)
        return _like(x, self.model.score(z, self.sigma) / self.model.standardiser.std)

    def simulate(
        self, x0: ArrayLike | Tensor, times: ArrayLike | Tensor, eta: float = 0.0, dt: float = 0.05
    ) -> Any:
        """Raw states at increasing ``times`` (transit times, the first is that of ``x0``).

        Shape ``(len(times), n, *shape)``. ``eta > 0`` adds restoring noise, in inverse transit
        times; the draws follow the seed.
        """
        path = self._path(self._standard(x0), times, eta, dt)
        return _like(x0, self.model.standardiser.raw(path))

    def sample(
        self, n: int, time: float = 20.0, eta: float = 1.0, dt: float = 0.05, noised: bool = False
    ) -> np.ndarray:
        """``n`` raw states of the law, by non-reversible Langevin dynamics, ``(n, *shape)``.

        ``time`` transit times of ``dx = (v + eta s) dt + sqrt(2 eta) dW`` from normal noise, or
        from the snapshots where the score keeps them; longer where the law has separate parts.
        They are states of the smoothed law, and denoised unless ``noised``.
        """
        model, draw = self._fitted(), generator(self.seed, Draws.SIMULATION, 2**31)
        if isinstance(model.score, EmpiricalScore):
            points = model.score.points
            start = points[torch.randint(len(points), (n,), generator=draw)]
        else:
            start = torch.randn(n, *model.shape, generator=draw)
        start = start + self.sigma * torch.randn(start.shape, generator=draw)
        x = self._path(start, [0.0, time], eta, dt)[-1]
        return model.standardiser.raw(x if noised else model.score.denoise(x, self.sigma)).numpy()

    def _path(self, z: Tensor, times: ArrayLike | Tensor, eta: float, dt: float) -> Tensor:
        """Standardised states at increasing times."""
        model = self.model
        ode = RK4(dt) if len(model.shape) == 1 else Stable(dt)
        integrator = HeunSDE(dt, eta) if eta else ode
        return integrator.limited(model.field.longest_step)(
            model.field,
            z,
            torch.as_tensor(times, dtype=torch.double),
            lambda x: model.score(x, self.sigma),
            lambda step: normal(z, len(z), self.seed, Draws.SIMULATION, step),
        )

    def equations(self, variables: Sequence[str] | None = None) -> Equations:
        """The law of a library field, in raw units, with 95 % intervals and what is known of it.

        ``variables`` name the features: x, y, z or x1, x2, ... if left out. Raises ``InputError``
        for other families.
        """
        findings = self.stationarity()
        field = cast(Library, self._fitted().field)
        bounds = (torch.tensor(findings.low).double(), torch.tensor(findings.high).double())
        names = variables or field.variables
        return Equations(field.terms, field.coefficients, names, bounds, findings.note).readable()

    def latex(self, variables: Sequence[str] | None = None) -> str:
        """The law of a library field as LaTeX."""
        return self.equations(variables).latex()

    def sympy(self, variables: Sequence[str] | None = None) -> "list[sympy.Eq]":
        """The law of a library field for computer algebra."""
        return self.equations(variables).sympy()

    def stationarity(self) -> Findings:
        """How far the snapshots decide a library field: tests, spectrum, orientation.

        Any other field is tested by :func:`stationarity_test`, and ``InputError`` says so here.
        """
        findings = self._fitted().findings
        if findings is None:
            raise InputError(
                f"family={self.family} has no equations; expected family=library, or "
                "eqflow.stationarity_test(flow.velocity, X) to test a field"
            )
        return findings

    def save(self, folder: str | Path) -> None:
        """Write what :func:`eqflow.load` reads, without pickle."""
        self._fitted().save(Path(folder))

    @classmethod
    def of(cls, model: FlowModel) -> "EquilibriumFlow":
        """The estimator around a trained model."""
        config = model.config
        flow = cls(
            config["family"],
            config["sigma"],
            config["seed"],
            config["score"],
            config["field"],
            ensemble=config["ensemble"],
        )
        flow.model = model.requires_grad_(False).eval()
        return flow

    def _fitted(self) -> FlowModel:
        if not hasattr(self, "model"):
            raise InputError("EquilibriumFlow is not fitted; expected fit(X) or eqflow.load first")
        return self.model

    def _standard(self, x: ArrayLike | Tensor) -> Tensor:
        model = self._fitted()
        raw = torch.as_tensor(x, dtype=torch.double).cpu()
        if not _fits(tuple(raw.shape[1:]), model.shape):
            canvas = ("height", "width") if len(model.shape) > 1 else ()
            expected = ("n", model.shape[0], *canvas)
            raise InputError(f"states of shape {tuple(raw.shape)} found; expected {expected}")
        return model.standardiser.standard(raw).float()


def _fits(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether states have the model's features, or its channels on a canvas of any size."""
    return len(found) == len(shape) and found[0] == shape[0]


def load(folder: str | Path) -> EquilibriumFlow:
    """A saved flow, or the flow of a finished run's folder."""
    folder = Path(folder)
    run = folder / "flow"
    return EquilibriumFlow.of(FlowModel.load(run if run.is_dir() else folder))


def stationarity_test(
    velocity: Callable[[Any], Any],
    X: ArrayLike | Tensor,
    groups: ArrayLike | Tensor | None = None,
    seed: int = 0,
) -> Stationarity:
    """Does any field keep the law of raw snapshots ``X`` that did not make it?

    ``X`` is (N, d), or (N, C, H, W) on a periodic grid. ``velocity`` takes and gives raw states as
    ``X`` is given, numpy or torch; its speed does not matter. ``groups`` (N,) label correlated
    snapshots. Raises ``InputError`` for too few snapshots and velocities of another shape.

    >>> x = np.random.default_rng(0).normal(size=(2000, 2))
    >>> stationarity_test(lambda x: x @ [[0, 1], [-1, 0]], x).p_value > 0.05
    True
    """
    x = torch.as_tensor(X, dtype=torch.double).cpu()
    check_states(x, "X")
    units = Standardiser.of(x)
    z = units.standard(x)
    v = torch.as_tensor(velocity(X), dtype=torch.double).cpu()
    if v.shape != x.shape or not v.isfinite().all():
        raise InputError(
            f"velocity(X): found shape {tuple(v.shape)}, {int((~v.isfinite()).sum())} numbers of "
            f"them not finite; expected finite velocities of shape {tuple(x.shape)}"
        )
    runs = None if groups is None else _groups(groups, len(x))
    return hotelling(v / units.std, z, functions_for(z, seed), runs)


def _groups(groups: ArrayLike | Tensor, n: int) -> Tensor:
    """A number for each snapshot's group, whatever names groups have."""
    names = np.asarray(groups)
    if names.shape != (n,):
        raise InputError(
            f"groups: found shape {names.shape}; expected one for each snapshot, ({n},)"
        )
    return group_numbers(names, "groups")


def _known_velocities(pair: tuple[Any, ...], x: Tensor) -> KnownVelocities:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(
            f"velocities: found {type(pair).__name__} of length {len(pair)}; expected two arrays, "
            "states and velocities, (x, v)"
        )
    states, velocities = (torch.as_tensor(part, dtype=torch.double).cpu() for part in pair)
    return checked_velocities(states, velocities, x, "velocities")


def _like(x: ArrayLike | Tensor, values: Tensor) -> Any:
    return values.to(x.device) if isinstance(x, Tensor) else np.asarray(values)
