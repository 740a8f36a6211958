"""From an array of snapshots to dynamics that keep their distribution, without Hydra.

States, velocities and scores are in raw units.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from eqflow.arrays import (
    Array,
    checked_snapshots,
    group_of_each,
    known_velocities,
    like,
    numbers,
)
from eqflow.data import (
    Snapshots,
    Standardiser,
    distinct,
    novelty,
    random_order,
    warn_if_not_periodic,
)
from eqflow.discovery import Equations, Findings
from eqflow.errors import InputError
from eqflow.fields import (
    EXACT_SIZE,
    ExactNetwork,
    Library,
    exact_if_possible,
    family_of,
    field_options,
    noise_level,
    size_and_training,
)
from eqflow.model import FlowModel, check_sigma
from eqflow.options import check_arguments, options_of, unknown
from eqflow.runtime import Draws, generator, normal
from eqflow.score import clean, from_noise, from_snapshots, score_options
from eqflow.simulate import RK4, HeunSDE, Stable, check_times
from eqflow.stationarity import Stationarity, functions_for, hotelling

if TYPE_CHECKING:
    import sympy
    from matplotlib.figure import Figure

    from eqflow.training import StageModule

VECTORS_PER_STEP = 512
"""Snapshots of a training step, where their number is not chosen."""

IMAGES_PER_STEP = 8
"""Snapshots of a training step, if they are images."""

COPIED = 0.5
"""Novelty of sampled states below which they are nearly copies of snapshots."""

STARTS = ("snapshots", "noise")
"""What sampling starts from."""

log = logging.getLogger("eqflow")


class EquilibriumFlow:
    """Continuous dynamics that keep the distribution of unordered snapshots as it is.

    The field is of a ``family`` (method section 4) at the noise level ``sigma``, in standard
    deviations. States go in and come out in raw units, as numpy arrays or torch tensors as they are
    given. Times are in transit times, since snapshots do not determine the speed (method section
    1).

    - ``score``: the name and the arguments of the score, ``field``: the arguments of the field;
    - ``score_training``, ``flow_training``: options of their training, or of a library's discovery;
    - ``exact``: whether the network is replaced by the nearest field that keeps the distribution
      exactly; by default for one network of up to 32 features by the strong form;
      ``projection``: size (``width``, ``depth``) and training of that field;
    - ``batch_size``: snapshots of a training step, by default ``VECTORS_PER_STEP`` or
      ``IMAGES_PER_STEP``;
    - ``progress``: whether training shows a progress bar;
    - ``ensemble``: number of networks that are trained together; the one most like the others is
      the velocity.

    Raises ``InputError`` for names that no score, field or training takes, and for wrong types.

    Reference: Zhang and Levin 2025, arXiv 2509.17990.

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
        exact: bool | None = None,
        projection: dict[str, Any] | None = None,
    ) -> None:
        self.arguments = {
            "family": family,
            "sigma": sigma,
            "seed": seed,
            "score": score,
            "field": field,
            "score_training": score_training,
            "flow_training": flow_training,
            "batch_size": batch_size,
            "progress": progress,
            "ensemble": ensemble,
            "exact": exact,
            "projection": projection,
        }
        self.family, self.sigma, self.seed = family, sigma, seed
        self.score_arguments, self.field_arguments = score, field
        self.score_training, self.flow_training = score_training or {}, flow_training or {}
        self.batch_size, self.progress, self.ensemble = batch_size, progress, ensemble
        self.exact, self.projection = exact, projection or {}
        self._check_arguments()

    def _check_arguments(self) -> None:
        """Refuse what is wrong whatever the snapshots."""
        check_arguments(self.arguments, options_of(EquilibriumFlow))
        family_of(self.family)
        check_sigma(self.sigma)
        score, size = dict(self.score_arguments or {}), self.batch_size
        known = score_options(score.pop("name", "mlp"))
        check_arguments(score, known, "score: ")
        check_arguments(self.field_arguments or {}, field_options(self.family), "field: ")
        if size is not None and size < 1:
            raise InputError(f"batch_size={size} found; expected a whole number >= 1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed={self.seed} found; expected 0 <= seed < 2**32")
        if self.score_training or self.flow_training or self.projection:
            from eqflow.training import (
                flow_training_options,
                projection_training_options,
                score_training_options,
            )

            check_arguments(self.score_training, score_training_options(), "score_training: ")
            known = flow_training_options(self.family)
            check_arguments(self.flow_training, known, "flow_training: ")
            known = {**projection_training_options(), **dict.fromkeys(EXACT_SIZE, int)}
            check_arguments(self.projection, known, "projection: ")

    def __repr__(self) -> str:
        """The arguments that are not the defaults and, once fitted, what to."""
        defaults = {name: p.default for name, p in signature(EquilibriumFlow).parameters.items()}
        chosen = {name: v for name, v in self.arguments.items() if v != defaults[name]}
        call = f"EquilibriumFlow({', '.join(f'{name}={v!r}' for name, v in chosen.items())})"
        if not hasattr(self, "model"):
            return call
        shape, count = self.model.shape, self.model.snapshots
        states = f"{shape[0]} features" if len(shape) == 1 else f"shape {shape}"
        level = f"noise level {self.model.field.sigma:g}"
        return f"{call}, fitted to {f'{count:,} ' if count else ''}snapshots of {states} at {level}"

    def fit(
        self,
        X: Array,
        groups: Array | None = None,
        velocities: tuple[Array, ...] | None = None,
    ) -> "EquilibriumFlow":
        """Learn from raw snapshots ``X``, ``(N, d)``, or ``(N, C, H, W)`` on a periodic grid.

        The columns of a data frame, which must hold numbers, name the variables of equations.
        ``groups``, ``(N,)``, name the group of each snapshot; those of one group are correlated, as
        of one run, which the tests and intervals of a library take into account. ``velocities`` are
        some states and their velocities, ``(n, d)`` each in raw units, to which a stream field or a
        network is fitted. Copies of a snapshot are left out. Warns of these, and of images that do
        not look periodic. Raises ``InputError`` for values that are not finite, constant features,
        and known velocities that do not belong to the snapshots.
        """
        x = checked_snapshots(X)
        names = [str(name) for name in getattr(X, "columns", ())] or None
        if x.ndim == 4:
            warn_if_not_periodic(x, "X")
        runs, kept = group_of_each(groups, len(x)), distinct(x, "X")
        x, runs = x[kept], None if runs is None else runs[kept]
        units = Standardiser.of(x, names=names)
        order = random_order(
            len(x), runs, generator(self.seed, Draws.DATA)
        )  # that of X means nothing
        z, runs = units.standard(x[order]).float(), None if runs is None else runs[order]
        known = None if velocities is None else known_velocities(velocities, x)
        known = known and known.standardised(units.mean, units.std)
        condition = self.flow_training.get("condition", "strong")
        level = noise_level(self.family, self.sigma, condition)
        score = self.score_arguments or (None if level else {"name": "empirical"})
        arguments = (self.sigma, self.seed, score, self.field_arguments, self.ensemble)
        shape = tuple(z.shape[1:])
        made_exact = exact_if_possible(self.exact, self.family, shape, self.ensemble, condition)
        size, _ = size_and_training(self.projection)
        drawn: dict[str, Any] = {
            "exact": size if made_exact else None,
            "field_sigma": level,
            "names": names,
        }
        self.model = FlowModel(shape, z, self.family, *arguments, **drawn)
        self.model.standardiser = units
        none = z[:0]  # nothing is held out here
        self._train(Snapshots(z, none, none, units, train_groups=runs, known_velocities=known))
        return self

    @property
    def _is_library(self) -> bool:
        return self.family == "library"

    def _train(self, data: Snapshots) -> None:
        from eqflow.training import (
            check_training,
            discover,
            match_speed,
            train_field,
            train_network,
            train_score,
        )

        options = {"seed": self.seed, **self.flow_training}
        if self._is_library:
            discover(self.model, data, **options)
        else:
            few, fit = replace(data, train=data.train[:2]), partial(self._fit, data.train)
            trial = FlowModel(self.model.shape, few.train, **self.model.config)
            projection = {"seed": self.seed, **size_and_training(self.projection)[1]}
            check_training(trial, few, self.score_training, options, projection)
            train_score(self.model, fit, **{"seed": self.seed, **self.score_training})
            if isinstance(self.model.field, ExactNetwork):
                train_network(self.model.field, data, fit, **options)
                options = projection
            train_field(self.model, data, fit, **options)
        self.model.requires_grad_(False).eval()
        match_speed(self.model, data.known_velocities)

    def _fit(self, z: Tensor, module: "StageModule") -> None:
        from eqflow.training import quiet_trainer, train_loader

        size = self.batch_size or (VECTORS_PER_STEP if z.ndim == 2 else IMAGES_PER_STEP)
        trainer = quiet_trainer(module.steps, self.progress, limit_val_batches=0)
        loader = train_loader(z, size, 100, self.seed)
        trainer.fit(module, loader, loader)  # it would warn of having nothing to validate on

    def velocity(self, x: Array) -> Any:
        """Velocity at raw states, ``(n, *shape)``, in raw units per transit time."""
        z = self._standard(x)
        return like(x, self.model.field(z) * self.model.standardiser.std)

    @property
    def speed(self) -> float | None:
        """Factor by which :meth:`velocity` comes closest to the known velocities; None without any.

        It is the number of transit times in their unit of time. It is negative where the field runs
        against them: ``-v`` preserves what ``v`` preserves, and only stream fields and networks are
        fitted to known velocities.
        """
        return self._fitted().speed

    def score(self, x: Array) -> Any:
        """Score ``grad log p_sigma`` at raw states, per raw unit."""
        z = self._standard(x)
        return like(x, self.model.score(z, self.sigma) / self.model.standardiser.std)

    def simulate(self, x0: Array, times: Array, eta: float = 0.0, dt: float = 0.05) -> Any:
        """Raw states at increasing ``times``, the first that of ``x0``, in transit times.

        Integrates ``dx = (v + eta s) dt + sqrt(2 eta) dW`` from raw ``x0``, ``(n, *shape)``, with
        steps of at most ``dt``, and returns ``(len(times), n, *shape)``. For ``eta > 0``, in
        inverse transit times, noise and score pull states back to the distribution; the draws
        follow the seed. Raises ``InputError`` for times that do not increase, as [0, 10] do.
        """
        path = self._path(self._standard(x0), times, eta, dt)
        return like(x0, self.model.standardiser.raw(path))

    def sample(
        self,
        n: int,
        time: float | None = None,
        eta: float = 1.0,
        dt: float = 0.05,
        noised: bool = False,
        start: str = "snapshots",
    ) -> np.ndarray:
        """``n`` new raw states of the distribution of the snapshots, ``(n, *shape)``.

        Noised snapshots follow the probability-flow ODE of the score down to its lowest noise
        level, where they are denoised. Separate parts of a distribution so have the shares of the
        snapshots. With ``start="noise"`` normal noise at the widest level goes down instead: the
        shares are then those that the score has learned, which are less exact. ``noised`` states
        are those at the noise level ``sigma`` of the field.

        On the way, at ``sigma``, ``dx = (v + eta s) dt + sqrt(2 eta) dW`` is integrated for
        ``time`` transit times, in steps of at most ``dt``: by default 20 for a score of one level,
        which has no others to go down to, and else none, as it does not keep the shares of parts.

        Warns of states that are nearly copies of snapshots. Raises ``InputError`` for ``n < 1``,
        another ``start``, and ``start="snapshots"`` of a flow that was saved without them.
        """
        x, score = self._noised(n, start), self.model.score
        single = score.levels(self.sigma) == (self.sigma, self.sigma)
        if time := (20.0 if single else 0.0) if time is None else time:
            x = self._path(x, [0.0, time], eta, dt)[-1]
        if not noised:
            x = clean(score, x, self.sigma)
            _warn_of_copies(x, self.model.starts)
        return self.model.standardiser.raw(x).numpy()

    def _noised(self, n: int, start: str) -> Tensor:
        """``n`` standardised states at the noise level ``sigma``."""
        model = self._fitted()
        check_arguments({"n": n, "start": start}, options_of(EquilibriumFlow.sample))
        if n < 1:
            raise InputError(f"n={n} found; expected a whole number >= 1")
        if start not in STARTS:
            raise unknown("start=", start, STARTS)
        draws = generator(self.seed, Draws.SIMULATION, 2**31)
        if start == "noise":
            return from_noise(model.score, model.shape, n, self.sigma, draws)
        if model.starts is None:
            raise InputError(
                "this flow was saved without snapshots to start from; expected one that is fitted "
                'or trained again, or sample(n, start="noise")'
            )
        return from_snapshots(model.score, model.starts, n, self.sigma, draws)

    def _path(self, z: Tensor, times: Array, eta: float, dt: float) -> Tensor:
        """Standardised states at increasing times, ``(times, n, *shape)``, from ``z``."""
        model, moments = self.model, numbers(times, "times", "increasing times, as [0, 10]")
        check_times(moments)
        check_arguments({"eta": eta, "dt": dt}, options_of(EquilibriumFlow.simulate))
        ode = RK4(dt) if len(model.shape) == 1 else Stable(dt)
        integrator = HeunSDE(dt, eta) if eta else ode
        return integrator.limited(model.field.longest_step)(
            model.field,
            z,
            moments,
            lambda x: model.score(x, self.sigma),
            lambda step: normal(z, len(z), self.seed, Draws.SIMULATION, step),
        )

    def plot(self, X: Array, time: float = 30.0) -> "Figure":
        """Figure of the dynamics over raw states ``X``; ``figure.savefig(file)`` writes it.

        Streamlines in two dimensions, in more the trajectories of the first three states for
        ``time`` transit times; of images, the first one at five times up to that.
        """
        from eqflow.report.dynamics import dynamics  # matplotlib is slow to import

        x = self._states(X).numpy()
        names = self.model.config["names"]
        return dynamics(family_of(self.family), x, self.velocity, self.simulate, time, names)

    def equations(self, variables: Iterable[str] | None = None) -> Equations:
        """The equations of a library field in raw units per transit time, with 95 % intervals.

        Their right-hand sides are :meth:`velocity`. ``variables`` name the features, by default
        as the columns of a data frame, or x, y, z or x1, x2, ... Raises ``InputError`` for other
        families.
        """
        findings = self.stationarity()
        field = cast(Library, self._fitted().field)
        bounds = (torch.tensor(findings.low).double(), torch.tensor(findings.high).double())
        if not isinstance(variables, Iterable | None):
            raise InputError(
                f"variables={variables} found; expected names, as ['prey', 'predator']"
            )
        names = field.variables if variables is None else [str(name) for name in variables]
        return Equations(field.terms, field.coefficients, names, bounds, findings.note)

    def latex(self, variables: Iterable[str] | None = None) -> str:
        """The equations of a library field as LaTeX."""
        return self.equations(variables).latex()

    def sympy(self, variables: Iterable[str] | None = None) -> "list[sympy.Eq]":
        """The equations of a library field for computer algebra."""
        return self.equations(variables).sympy()

    def stationarity(self) -> Findings:
        """Tests of a library field and how far snapshots determine it (method section 6).

        Raises ``InputError`` for other families: :func:`stationarity_test` tests any field.
        """
        findings = self._fitted().findings
        if findings is None:
            raise InputError(
                f"family={self.family} has no equations; expected family=library, or "
                "eqflow.stationarity_test(flow.velocity, X) to test a field"
            )
        return findings

    def save(self, folder: str | Path) -> None:
        """Write the model to ``folder``, without pickle, for :func:`eqflow.load`."""
        self._fitted().save(Path(folder))

    @classmethod
    def of(cls, model: FlowModel) -> "EquilibriumFlow":
        """The estimator of a trained model."""
        names = ("family", "sigma", "seed", "score", "field", "ensemble")
        exact = model.config["exact"]
        chosen = {"exact": exact is not None, "projection": exact}
        flow = cls(**{name: model.config[name] for name in names}, **chosen)
        flow.model = model.requires_grad_(False).eval()
        return flow

    def _fitted(self) -> FlowModel:
        if not hasattr(self, "model"):
            raise InputError("EquilibriumFlow is not fitted; expected fit(X) or eqflow.load first")
        return self.model

    def _standard(self, x: Array) -> Tensor:
        return self._fitted().standardiser.standard(self._states(x)).float()

    def _states(self, x: Array) -> Tensor:
        """Raw states in float64; raises ``InputError`` unless they are like the snapshots."""
        model = self._fitted()
        # images may be on a grid of any size
        expected = f"(n, {model.shape[0]}{', height, width' if len(model.shape) > 1 else ''})"
        raw = numbers(x, "states", expected)
        if raw.ndim != 1 + len(model.shape) or raw.shape[1] != model.shape[0]:
            single = ", x[None] for a single state" if raw.ndim == len(model.shape) else ""
            raise InputError(
                f"states of shape {tuple(raw.shape)} found; expected {expected}{single}"
            )
        return raw


def load(folder: str | Path) -> EquilibriumFlow:
    """The flow that was saved in ``folder``, or the one of a finished run's folder.

    Raises ``InputError`` for a folder that holds neither.
    """
    folder = Path(folder)
    run = folder / "flow"
    return EquilibriumFlow.of(FlowModel.load(run if run.is_dir() else folder))


def stationarity_test(
    velocity: Callable[[Any], Any],
    X: Array,
    groups: Array | None = None,
    seed: int = 0,
) -> Stationarity:
    """Test whether a velocity field keeps the distribution of raw snapshots (method section 6).

    Hotelling's test of the weak form, for snapshots ``X`` that the field was not fitted to, ``(N,
    d)``, or ``(N, C, H, W)`` on a periodic grid. ``velocity`` maps states like ``X``, numpy or
    torch, to raw velocities of the same shape; their speed does not matter. ``groups``, ``(N,)``,
    name groups of correlated snapshots. Copies of a snapshot are left out, with a warning. Raises
    ``InputError`` for too few snapshots and for velocities of another shape.

    >>> x = np.random.default_rng(0).normal(size=(2000, 2))
    >>> stationarity_test(lambda x: x @ [[0, 1], [-1, 0]], x).p_value > 0.05
    True
    """
    x = checked_snapshots(X)
    if not callable(velocity):
        raise InputError(f"velocity={velocity} found; expected a function of states, flow.velocity")
    v = numbers(velocity(X), "velocity(X)", f"{tuple(x.shape)}")
    if v.shape != x.shape or not v.isfinite().all():
        raise InputError(
            f"velocity(X): found shape {tuple(v.shape)}, {int((~v.isfinite()).sum())} numbers of "
            f"them not finite; expected finite velocities of shape {tuple(x.shape)}"
        )
    runs, kept = group_of_each(groups, len(x)), distinct(x, "X")
    units = Standardiser.of(x[kept])
    z, runs = units.standard(x[kept]), None if runs is None else runs[kept]
    return hotelling(v[kept] / units.std, z, functions_for(z, seed), runs)


def _warn_of_copies(x: Tensor, snapshots: Tensor | None) -> None:
    if snapshots is not None and (near := novelty(x, snapshots)) < COPIED:
        log.warning(
            "sample: found states %.2g times as far from a snapshot as one snapshot from the next, "
            "nearly copies: the score has learned the %d snapshots by heart; expected more of them",
            near,
            len(snapshots),
        )
