"""Behaviour: what objects do on a large canvas under a field, beside restoring noise alone.

Images of icons are watched on a canvas that is larger than those of the data. A field turns the
score of a denoiser into motion; so does the restoring noise of the SDE, and any network prefers
directions and places of its own. Therefore the score is seen in one frame after another, and every
field is compared with the same path without it, ``v = 0``.
"""

from functools import lru_cache, partial
from math import inf
from threading import Lock
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from eqflow.data import Snapshots
from eqflow.evaluation.displacement import sde_of
from eqflow.evaluation.protocol import Protocol
from eqflow.evaluation.reference import Reference, spread_out
from eqflow.evaluation.rules import ranks
from eqflow.fields import VelocityField
from eqflow.icons import Scene
from eqflow.metrics.behaviour import Detections, Motion, Watched, behaviour, link, locate
from eqflow.runtime import Draws, generator, normal_batch
from eqflow.score import InTurn, Score, corrected_from_noise
from eqflow.simulate import FixedStep, Integrator
from eqflow.stationarity import Velocity

LAGS = 10
"""Lags of velocities, and of the autocorrelation, that a film has room for."""

COUNTED_IMAGES = 32
"""Held-out images in which objects are counted, by the same means as in films."""


def watched_behaviour(
    field: VelocityField, score: Score, reference: Reference, integrator: Integrator
) -> dict[str, float]:
    """Numbers of the objects' behaviour as ``behaviour/...``; none where none are to be watched.

    ``behaviour/displacement_ratio`` is the root mean square displacement over that of restoring
    noise alone, from the same start and with the same noise; ranks are those of ``rules``.
    """
    if not watches(reference):
        return {}
    seen = reference.watched[field] = watch(
        field, score, reference, sde_of(integrator, field.longest_step)
    )
    numbers = _numbers(seen, reference)
    still = at_rest(score, reference, integrator).motion.displacement
    if still and "displacement" in numbers:
        numbers["displacement_ratio"] = numbers["displacement"] / still
    return {f"behaviour/{name}": value for name, value in (numbers | ranks(numbers)).items()}


def rest_behaviour(score: Score, reference: Reference, integrator: Integrator) -> dict[str, float]:
    """The same numbers of restoring noise alone, as ``null/rest/behaviour/...``."""
    if not watches(reference):
        return {}
    numbers = _numbers(at_rest(score, reference, integrator), reference)
    return {f"null/rest/behaviour/{name}": value for name, value in numbers.items()}


def watches(reference: Reference) -> bool:
    """Whether objects are watched: of images that are made of icons, if the protocol says so."""
    return bool(reference.protocol.behaviour and reference.snapshots.scene and reference.sigma)


def watch(velocity: Velocity, score: Score, reference: Reference, sde: FixedStep) -> Watched:
    """Film of a field on the canvas of the protocol, denoised, its objects located and linked.

    What is not finite is shown as the background.
    """
    protocol, sigma = reference.protocol, reference.sigma
    x0 = _start(score, reference)
    times = torch.linspace(0, protocol.behaviour, protocol.behaviour_frames)
    seen = InTurn(partial(score, sigma=sigma), protocol.seed)

    def noise(step: int) -> Tensor:
        return normal_batch(x0, len(x0), protocol.seed, Draws.SIMULATION, step)

    path = sde(velocity, x0, times, seen, noise)[:, 0]
    film = _colours(torch.cat([score.denoise(state, sigma) for state in path.split(1)]), reference)
    tracks = link(_located(film, reference))
    dt = protocol.behaviour / (protocol.behaviour_frames - 1)
    return Watched(film, Motion(tracks, dt, protocol.behaviour / LAGS))


def at_rest(score: Score, reference: Reference, integrator: Integrator) -> Watched:
    """Film of restoring noise alone, ``v = 0``: one for all fields that are watched alike."""
    protocol = reference.protocol
    alike = Protocol(
        behaviour=protocol.behaviour,
        behaviour_canvas=protocol.behaviour_canvas,
        behaviour_frames=protocol.behaviour_frames,
        behaviour_start=protocol.behaviour_start,
        seed=protocol.seed,
    )
    with _SIMULATING:  # who comes second waits, and takes what the first has made
        return _at_rest(score, reference.snapshots, reference.sigma, alike, integrator)


_SIMULATING = Lock()


@lru_cache(maxsize=2)
def _at_rest(
    score: Score, snapshots: Snapshots, sigma: float, protocol: Protocol, integrator: Integrator
) -> Watched:
    reference = Reference(snapshots, sigma, protocol)
    return watch(torch.zeros_like, score, reference, sde_of(integrator, inf))


@lru_cache(maxsize=4)
def expected_number(reference: Reference) -> float:
    """Number of objects on the canvas of the protocol at the density of the held-out images."""
    images = spread_out(reference.snapshots.test, COUNTED_IMAGES)
    found = _located(_colours(images, reference), reference)
    height, width = reference.snapshots.shape[1:]
    per_pixel = len(found.frame) / (len(images) * height * width)
    return per_pixel * reference.protocol.behaviour_canvas**2


def _start(score: Score, reference: Reference) -> Float[Tensor, "1 3 side side"]:
    """A canvas that comes down from pure noise, or a held-out image repeated, at ``sigma``."""
    protocol, sigma = reference.protocol, reference.sigma
    side, test = protocol.behaviour_canvas, reference.snapshots.test
    if protocol.behaviour_start == "noise":
        draw = generator(protocol.seed, Draws.CANVAS)
        seen, widest = InTurn(score, protocol.seed), score.levels(sigma)[1]
        return corrected_from_noise(seen, (3, side, side), widest, sigma, draw, test.device)
    rows, columns = (-(-side // length) for length in test.shape[2:])
    return reference.noised(test[:1].tile(rows, columns)[..., :side, :side])  # has no seams


def _located(images: Float[Tensor, "n 3 height width"], reference: Reference) -> Detections:
    scene = _scene(reference)
    return locate(images, [icon.image for icon in scene.icons], scene.background)


def _colours(
    z: Float[Tensor, "n 3 height width"], reference: Reference
) -> Float[Tensor, "n 3 height width"]:
    """Red, green and blue in [0, 1] of standardised images."""
    raw = reference.snapshots.standardiser.raw(z).float().cpu()
    blank = _scene(reference).background[:, None, None].expand_as(raw)
    return torch.where(raw.isfinite(), raw, blank).clamp(0, 1)


def _scene(reference: Reference) -> Scene:
    return cast(Scene, reference.snapshots.scene)


def _numbers(seen: Watched, reference: Reference) -> dict[str, float]:
    return behaviour(seen.motion, expected_number(reference))
