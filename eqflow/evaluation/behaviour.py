"""Behaviour: what objects do on a large canvas under a field, beside restoring noise alone.

Images of icons are watched on a canvas that is larger than those of the data. A field turns the
score of a denoiser into motion; so does the restoring noise of the SDE, and any network prefers
directions and places of its own. Therefore the score is seen in one frame after another, and every
field is compared with the same path without it, ``v = 0``.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.evaluation.displacement import sde_of
from eqflow.evaluation.reference import Reference, spread_out
from eqflow.fields import VelocityField
from eqflow.icons import Scene
from eqflow.metrics.behaviour import Detections, Motion, behaviour, link, locate
from eqflow.runtime import Draws, generator, normal_batch
from eqflow.score import InTurn, Score, from_noise
from eqflow.simulate import Integrator, Velocity

LAGS = 10
"""Lags of velocities, and of the autocorrelation, that a film has room for."""

COUNTED_IMAGES = 32
"""Held-out images in which objects are counted, by the same means as in films."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A film of denoised images in ``[0, 1]``, and the motion of the objects in it."""

    film: Float[Tensor, "frames 3 height width"]
    motion: Motion


def watched_behaviour(
    field: VelocityField, score: Score, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    """Numbers of the objects' behaviour as ``behaviour/...``; none where none are to be watched.

    ``behaviour/displacement_ratio`` is the root mean square displacement over that of restoring
    noise alone, from the same start and with the same noise.
    """
    if not watches(reference):
        return {}
    seen = reference.watched[field] = watch(field, score, reference, integrator)
    numbers = _numbers(seen, reference)
    still = at_rest(score, reference, integrator).motion.displacement
    if still and "displacement" in numbers:
        numbers["displacement_ratio"] = numbers["displacement"] / still
    return {f"behaviour/{name}": value for name, value in numbers.items()}


def rest_behaviour(
    score: Score, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    """The same numbers of restoring noise alone, as ``null/rest/behaviour/...``."""
    if not watches(reference):
        return {}
    numbers = _numbers(at_rest(score, reference, integrator), reference)
    return {f"null/rest/behaviour/{name}": value for name, value in numbers.items()}


def watches(reference: Reference) -> bool:
    """Whether objects are watched: of images that are made of icons, if the protocol says so."""
    return bool(reference.protocol.behaviour and reference.snapshots.scene and reference.sigma)


def watch(
    velocity: Velocity, score: Score, reference: Reference, integrator: Integrator
) -> Watched:
    """Film of a field on the canvas of the protocol, its objects located and linked."""
    protocol, sigma = reference.protocol, reference.sigma
    x0 = _start(score, reference)
    times = torch.linspace(0, protocol.behaviour, protocol.behaviour_frames)
    seen = InTurn(partial(score, sigma=sigma), protocol.seed)
    noise = lambda step: normal_batch(x0, len(x0), protocol.seed, Draws.SIMULATION, step)  # noqa: E731
    path = sde_of(integrator, velocity)(velocity, x0, times, seen, noise)[:, 0]
    clean = torch.cat([score.denoise(frame, sigma) for frame in path.split(1)])
    film = reference.snapshots.standardiser.raw(clean).float().cpu()
    found = _located(film, reference)
    dt = protocol.behaviour / (protocol.behaviour_frames - 1)
    return Watched(film.clamp(0, 1), Motion(link(found), dt, protocol.behaviour / LAGS))


@lru_cache(maxsize=4)
def at_rest(score: Score, reference: Reference, integrator: Integrator) -> Watched:
    """Film of restoring noise alone, ``v = 0``."""
    return watch(torch.zeros_like, score, reference, integrator)


@lru_cache(maxsize=4)
def expected_number(reference: Reference) -> float:
    """Number of objects on the canvas of the protocol at the density of the held-out images."""
    images = spread_out(reference.snapshots.test, COUNTED_IMAGES)
    found = _located(reference.snapshots.standardiser.raw(images).float().cpu(), reference)
    height, width = reference.snapshots.shape[1:]
    per_pixel = len(found.frame) / (len(images) * height * width)
    return per_pixel * reference.protocol.behaviour_canvas**2


def _start(score: Score, reference: Reference) -> Float[Tensor, "1 3 side side"]:
    """A canvas that comes down from pure noise, or a mosaic of held-out images, at ``sigma``."""
    protocol, sigma = reference.protocol, reference.sigma
    side, test = protocol.behaviour_canvas, reference.snapshots.test
    draw = generator(protocol.seed, Draws.SAMPLES)
    if protocol.behaviour_start == "noise":
        return from_noise(score, (3, side, side), 1, sigma, draw).to(test)
    rows, columns = (-(-side // length) for length in test.shape[2:])
    tiles = spread_out(test, rows * columns)
    lines = [torch.cat([*tiles[k * columns : (k + 1) * columns]], 2) for k in range(rows)]
    return reference.noised(torch.cat(lines, 1)[None, :, :side, :side])


def _located(images: Float[Tensor, "n 3 height width"], reference: Reference) -> Detections:
    scene: Scene = reference.snapshots.scene  # type: ignore[assignment]
    return locate(images, [icon.image for icon in scene.icons], scene.background)


def _numbers(seen: Watched, reference: Reference) -> dict[str, float]:
    return behaviour(seen.motion, expected_number(reference))
