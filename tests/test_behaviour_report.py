"""What the page and the terminal say and show of objects that were watched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from films import decoded
from matplotlib.colors import to_rgb

from eqflow.data import split
from eqflow.evaluation import ComparedField, Protocol, Reference
from eqflow.fields.linear import MinusX
from eqflow.icons import Scene, icon
from eqflow.metrics.behaviour import Motion, Tracks, Watched, behaviour
from eqflow.model import FlowModel
from eqflow.report import behaviour as figures_of
from eqflow.report.display import Display
from eqflow.report.observed import observation, table
from eqflow.report.page import StageRecord, write_report
from eqflow.report.terminal import judged, summary
from eqflow.report.trails import GAP, PANEL_SIDE, STRIP, film, ways
from eqflow.simulate import HeunSDE

SIDE, FRAMES, SIZE, DT = 48, 21, 8, 2.0
SCENE = Scene((icon("blue_dot", SIZE),), torch.ones(3))


def watched(position, angle=None, side=SIDE, scene=SCENE):
    """A film of an icon at rows and columns ``(frames, n, 2)``, which are tracked without error."""
    picture, film = scene.icons[0], torch.ones(len(position), 3, side, side)
    for k, places in enumerate(position):
        for j, (row, column) in enumerate(places):
            if not np.isfinite(row):
                continue
            stamp = picture.rotated(0.0 if angle is None else float(angle[k, j]))
            size = stamp.shape[-1]
            rows, columns = (
                (torch.arange(size) + round(middle - (size - 1) / 2)) % side
                for middle in (row, column)
            )
            under = film[k][:, rows[:, None], columns]
            film[k][:, rows[:, None], columns] = stamp[:3] + (1 - stamp[3]) * under
    seen = np.isfinite(position[..., 0])
    angles = np.where(seen, np.nan if angle is None else angle, np.nan)
    match = np.where(seen, 0.95, np.nan)
    tracks = Tracks(position, angles, match, (side, side), picture.radius)
    return Watched(film, Motion(tracks, DT, (len(position) - 1) * DT / 10))


def moving(velocity=(0.0, 0.0), jitter=0.0, n=5, seed=0):
    """Places of ``n`` icons with a common velocity, in pixels per frame, and a random walk."""
    draw = np.random.default_rng(seed)
    steps = np.array(velocity) + jitter * draw.normal(size=(FRAMES - 1, n, 2))
    start = draw.uniform(0, SIDE, (1, n, 2))
    return np.concatenate([start, start + steps.cumsum(0)])


STILL = moving(jitter=0.05)
SNAPSHOTS = replace(split(torch.rand(24, 3, 16, 16).double(), val=4, test=12), scene=SCENE)
NOTHING = np.full((FRAMES, 0, 2), np.nan)


def measured(seen, rest=None):
    """Numbers as evaluation gives them, where the data have five icons on the canvas."""
    numbers = behaviour(seen.motion, 5.0)
    if rest is not None and "displacement" in numbers and rest.motion.displacement > 0:
        numbers["displacement_ratio"] = numbers["displacement"] / rest.motion.displacement
    return numbers


def named(prefix, numbers):
    return {f"{prefix}{name}": value for name, value in numbers.items()}


def run_of(own, rest=STILL, null=None, model=None, **changed):
    """A run whose objects are at the given places, and the film of restoring noise alone."""
    seen, still = watched(own), watched(rest)
    numbers = named("behaviour/", measured(seen, still) | changed)
    numbers |= named("null/rest/behaviour/", measured(still))
    field = model.field if model else MinusX((3, 16, 16))
    reference = Reference(SNAPSHOTS, 0.24, Protocol((1,), behaviour=40.0, behaviour_frames=FRAMES))
    reference.watched[field] = seen
    run = [ComparedField("own", "skew", field, reference, numbers)]
    if null is not None:
        other, there = MinusX((3, 16, 16)), watched(null)
        reference.watched[other] = there
        numbers = named("behaviour/", measured(there, still))
        run.append(ComparedField("null", "random_linear", other, reference, numbers))
    return run, still


def page_of(folder, monkeypatch, own, rest=STILL, null=None):
    model = FlowModel((3, 16, 16), SNAPSHOTS.train, "minus_x", 0.24, score={"name": "empirical"})
    run, still = run_of(own, rest, null, model)
    monkeypatch.setattr(figures_of, "at_rest", lambda *_: still)
    display = Display(model.eval(), SNAPSHOTS, HeunSDE(0.5, 0.1))
    config = {"name": "alife", "seed": 0, "flow": {"family": "skew", "sigma": 0.24}}
    write_report(folder, config, run, StageRecord({}, {}), display)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_opens_with_a_smooth_film_of_the_icons_and_has_their_figures(
    tmp_path, monkeypatch
):
    page = page_of(tmp_path, monkeypatch, moving((1, 0.5), 0.3), null=moving(jitter=0.5))
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    assert files == {
        *("film.mp4", "frames.png", "textures.png"),
        *("tracks.png", "displacements.png", "pair_correlation.png"),
    }
    assert page.count("data:image/png;base64,") == 5
    about, frames = decoded(tmp_path / "figures" / "film.mp4")
    width, height = about["size"]
    assert about["codec"].startswith("h264")
    assert len(frames) == FRAMES
    assert width >= 3 * PANEL_SIDE
    assert height >= STRIP + PANEL_SIDE
    assert width % 2 == height % 2 == 0
    for text in ("Behaviour", "restoring noise alone", "persistence time", "40 transit times"):
        assert text in page


def test_the_page_is_complete_where_no_icon_is_found(tmp_path, monkeypatch):
    page = page_of(tmp_path, monkeypatch, NOTHING, NOTHING)
    assert "the score model does not make them" in page
    assert (tmp_path / "figures" / "tracks.png").exists()
    assert len(decoded(tmp_path / "figures" / "film.mp4")[1]) == FRAMES


def test_trails_are_over_faded_icons_in_the_second_panel(tmp_path):
    run, still = run_of(moving((1.0, 0.0), n=1), moving(jitter=0.1, n=1))
    _, frames = decoded(film(run[0], still, tmp_path / "film.mp4"))
    red, _, blue = to_rgb(run[0].look["color"])
    found = []
    for left in range(2, 3 * (PANEL_SIDE + GAP), PANEL_SIDE + GAP):
        panel = frames[-1][STRIP + 2 : -2, left : left + PANEL_SIDE - 2].astype(int)
        found.append(int((panel[..., 0] - panel[..., 2] > 100 * (red - blue)).sum()))
    way = 20 * PANEL_SIDE / SIDE
    assert found[0] == found[2] == 0
    assert found[1] > way / 2


def test_ways_across_the_border_are_on_both_sides_of_it():
    there = np.array([[[10.0, 46.0]], [[10.0, 49.0]], [[10.0, 52.0]]])
    lines, ends = ways(watched(there).motion.tracks, 0, 2)
    assert ends.tolist() == [1, 2, 1]
    assert lines[:, :, 0].tolist() == [[46, 49], [1, 4], [-2, 1]]
    assert (lines[:, :, 1] == 10).all()


def lost(position, frame):
    """Icons that are gone from a frame on."""
    return np.where(np.arange(FRAMES)[:, None, None] < frame, position, np.nan)


@pytest.mark.parametrize(
    ("own", "null", "changed", "sentence"),
    [
        (moving(jitter=1.0), None, {}, "no flocking: polar order"),
        (STILL, None, {}, "hardly farther than under noise alone (1 times)"),
        (moving((1, 0), 0.2), None, {}, "no flocking but a current that carries all of them"),
        (moving((1, 0), 0.2), None, {"drift": 0.01}, "; they flock: polar order"),
        (
            moving((1, 0), 0.2),
            moving((1, 0), 0.2, seed=1),
            {"drift": 0.01},
            "; no flocking beyond the nulls: polar order 0.9",
        ),
        (
            NOTHING,
            None,
            {},
            "under the field, while restoring noise alone keeps some",
        ),
        (lost(STILL, 12), None, {}, "Icons become fewer ("),
        (STILL, None, {"number_drift": 1.6}, "Icons become more (1 of the data's density)"),
        (STILL, None, {}, "keep their number (1 of the data's density), 100 % are whole"),
        (STILL, None, {"density_ratio": 0.5}, "their number, but not that of the data (0.5 of"),
        (STILL, None, {"whole": 0.031}, "but only 3 % are whole icons, and they"),
        (
            STILL,
            None,
            {"whole": 0.0},
            "Objects keep their number (1 of the data's density), but none",
        ),
        (moving((1, 0), n=2), None, {"drift": 0.0}, "they are too few to speak of flocking"),
        (STILL, None, {"encounters": 20, "attract": 0.9}, "; they attract each other: 90 % of 20"),
    ],
)
def test_the_page_begins_with_what_the_icons_do(own, null, changed, sentence):
    assert sentence in observation(run_of(own, null=null, **changed)[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"encounters": 5, "attract": 1.0},
        {"encounters": 20, "attract": 0.6},
        {"encounters": 20, "attract": 0.3},
    ],
)
def test_attraction_is_not_claimed_of_few_or_undecided_encounters(changed):
    run, _ = run_of(STILL, null=moving(jitter=0.5), **changed)
    run[1].numbers["behaviour/attract"] = 0.5
    assert "attract" not in observation(run)


def test_the_table_of_behaviour_has_the_field_noise_alone_and_the_nulls():
    run, still = run_of(moving(jitter=1.0), null=moving(jitter=0.5))
    headings, rows = table(run)
    assert [row[0] for row in rows] == [run[0].name, "restoring noise alone", run[1].name]
    assert "order by chance" in headings
    assert rows[1][headings.index("moved / noise alone")] == "\N{EN DASH}"
    ratio = float(rows[0][headings.index("moved / noise alone")])
    expected = watched(moving(jitter=1.0)).motion.displacement / still.motion.displacement
    assert ratio == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("width", [80, 40])
def test_the_terminal_shows_the_behaviour_in_its_width(width):
    run, _ = run_of(moving(jitter=1.0), null=moving(jitter=0.5))
    text = summary(run, width)
    assert "density" in text
    assert "restoring" in text
    assert judged(run, width).startswith("Icons")
    assert max(map(len, text.splitlines())) <= width


def test_runs_that_watched_nothing_say_nothing_of_behaviour():
    reference = Reference(replace(SNAPSHOTS, scene=None), 0.2, Protocol())
    run = [ComparedField("own", "skew", MinusX((3, 16, 16)), reference, {})]
    assert observation(run) == ""
    assert table(run) is None
