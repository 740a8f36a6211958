import html
import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from compared import PRESERVED, TRUTH, compared, law_of

from eqflow.data import split
from eqflow.fields import VelocityField, build_field
from eqflow.model import FlowModel
from eqflow.report import chaos, opening, overview, portraits
from eqflow.report.display import Display
from eqflow.report.equations import FittedEquations
from eqflow.report.page import StageRecord, write_report
from eqflow.report.text import SIGMA, number
from eqflow.score import Score
from eqflow.simulate import RK4, HeunSDE

SPREAD = {"truth/cos": 0.0619, "truth/cos_std": 0.0382}
HISTORY = {
    "score": [{"step": 1, "score/train_loss": 0.9}, {"step": 2, "score/train_loss": 0.8}],
    "flow": [{"step": 2, "flow/train_loss": 0.5, "flow/val_loss": -0.1}],
}
CONFIG = {
    "name": "fake <b>&</b>",
    "seed": 3,
    "flow": {"family": "network", "sigma": 0.2, "condition": "strong", "divergence": "exact"},
    "note": "<script>alert(1)</script>",
}
PORTRAITS = {2: {"streamlines"}, 3: {"trajectories"}, 5: {"trajectories"}}
GAUSSIAN = torch.randn(4000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SIDES = torch.tensor([1.0, 3.0, 0.2])


class Exploding(VelocityField):
    """``v(x) = 90 x``: leaves float32 within two transit times."""

    def unscaled(self, x):
        return 90 * x


def report(
    folder,
    dim=2,
    metrics=(),
    history=(),
    truth=False,
    field=None,
    findings=None,
    library=None,
    others=(),
    integrator=None,
):
    """The page of a run; ``others`` are measures of nulls and fields beside, by prefix."""
    x = torch.randn(300, dim, dtype=torch.float64)
    snapshots = split(x, val=50, test=100, velocity=torch.tanh if truth else None)
    score = {"name": "mlp", "width": 8, "depth": 1}
    model = FlowModel((dim,), snapshots.train, score=score, field={"width": 8})
    own = field or model.field
    run = [compared("own", "library" if findings else "network", own, metrics, findings, snapshots)]
    if library:
        numbers = dict(others).get("beside/library/", {})
        run.append(compared("beside", "library", *library[:1], numbers, library[1], snapshots))
    for role, family in (("beside", "skew"), ("null", "random"), ("null", "random_skew")):
        if numbers := dict(others).get(f"{role}/{family}/"):
            built = build_field(family, (dim,), model.score, 0.2, 1)
            run.append(compared(role, family, built, numbers, None, snapshots))
    display = Display(model.eval(), snapshots, integrator or RK4(0.1), CONFIG["seed"])
    stages = StageRecord(dict(history), {"flow": 12.3})
    figures = write_report(folder, CONFIG, run, stages, display)
    return figures, (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("dim", sorted(PORTRAITS))
def test_every_figure_and_number_is_there(tmp_path, dim):
    others = {
        "beside/skew/": {"truth/cos": 0.5},
        "null/random/": {name: 2 * value for name, value in PRESERVED.items()},
        "null/random_skew/": SPREAD,
    }
    figures, page = report(tmp_path, dim, PRESERVED | TRUTH, HISTORY, truth=True, others=others)
    expected = {
        "opening",
        "film",
        "overview",
        "preservation",
        "distributions",
        "similarity",
        "losses",
    }
    expected |= PORTRAITS[dim]
    assert {path.stem for path in figures} == expected
    assert all(path.parent == tmp_path / "figures" and path.stat().st_size for path in figures)
    assert page.count("data:image/png;base64,") == len(figures) - 1
    assert page.count("data:video/mp4;base64,") == 1
    hidden = re.compile("escaped|_h2|sigma|_std|floor95|rbf05|mmd2_ratio$")
    for numbers in (PRESERVED | TRUTH, *others.values()):
        shown = [value for name, value in numbers.items() if not hidden.search(name)]
        assert all(f">{number(value)}" in page for value in shown)
    assert "flow 12.3" in page
    assert (number(PRESERVED["preservation/mmd2_rbf05"]) in page) == (dim <= 3)


def test_page_loads_nothing_and_escapes_what_it_is_given(tmp_path):
    page = report(tmp_path, metrics=PRESERVED)[1]
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert "&lt;script&gt;alert(1)" in page
    assert "fake &lt;b&gt;&amp;&lt;/b&gt;" in page


@pytest.mark.parametrize("dim", [2, 3])
def test_nothing_measured_still_gives_a_page(tmp_path, dim):
    figures, page = report(tmp_path, dim)
    drawn = {"opening", "film", "overview"} | ({"trajectories"} if dim == 3 else set())
    assert {path.stem for path in figures} == drawn
    assert "was not measured" in page
    assert "was not simulated" in page
    assert "skew (no training)" not in page


def test_known_velocities_are_among_the_numbers(tmp_path):
    page = report(
        tmp_path, metrics=PRESERVED | {"velocities/cos": 0.9876, "velocities/speed": -1.234}
    )[1]
    shown = ("cos to known velocities", "0.988", "speed by known velocities", number(-1.234))
    assert all(text in page for text in shown)


def test_the_truth_has_no_exponents_measured_for_a_figure_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "true_growth", lambda *_: pytest.fail("measured"))
    report(tmp_path, 3, PRESERVED, truth=True)


def test_states_that_leave_every_bound_are_drawn(tmp_path):
    figures, page = report(tmp_path, 3, PRESERVED, field=Exploding((3,)))
    assert {"trajectories", "distributions"} <= {path.stem for path in figures}
    assert "1.25 % of the states escaped" in page


@pytest.mark.parametrize(("dim", "truth"), [(2, True), (7, False)])
def test_own_law_is_shown(tmp_path, dim, truth):
    field, findings = law_of(dim)
    metrics = PRESERVED | {"preservation/sigma": 0.0, "truth/cos": 0.99987}
    arguments = {"field": field, "findings": findings, "truth": truth}
    figures, page = report(tmp_path, dim, metrics, **arguments)
    drawn = {path.stem for path in figures}
    assert drawn >= {"spectrum", "selection", "distributions"}
    assert ("predicted" in drawn) == (truth and dim <= 6)
    fitted = FittedEquations(compared("own", "library", field, metrics, findings), findings)
    for text in (fitted.verdict, *fitted.equations.text().splitlines(), fitted.equations.latex()):
        assert text in html.unescape(page)
    assert page.count("Equations with 2 terms of degree 1 are determined") == 1
    assert all(text in page for text in (f"2 of {dim * (dim + 1)}", "77.7", "0.99987"))
    assert "[1.9, 2.1]" in page  # 2 +- 0.1 per transit time


def test_law_beside_lives_at_its_own_level(tmp_path):
    field, findings = law_of(3)
    clean = {"preservation/sigma": 0.0, "preservation/mmd2_floor95": 0.000777}
    others = {"beside/library/": PRESERVED | clean}
    figures, page = report(tmp_path, 3, PRESERVED, library=(field, findings), others=others)
    assert {"trajectories", "spectrum", "selection"} <= {path.stem for path in figures}
    expected = ("different noise levels", "0.000777", "beside the run's own field, the network")
    assert all(text in page for text in expected)
    assert page.count("noise floor, 95") == 4  # at two levels, in two tables


def test_states_without_noise_are_the_snapshots():
    snapshots = split(torch.randn(300, 2, dtype=torch.float64), val=50, test=100)
    model = FlowModel((2,), snapshots.train, score={"name": "empirical"}, family="skew")
    display, units = Display(model.eval(), snapshots, RK4()), snapshots.standardiser
    assert np.array_equal(display.states(), units.raw(snapshots.test[50:]).numpy())
    library = compared("own", "library", law_of()[0], snapshots=snapshots)
    path = display.path(library, torch.tensor([0.0, 1.0]), runs=5)
    assert np.array_equal(path[0], units.raw(snapshots.test[:5]).numpy())
    assert np.isfinite(path).all()


RUNGE_KUTTA = RK4(0.1)


class GaussianScore(Score):
    """The score of a standard normal distribution."""

    def forward(self, x, sigma):
        return -x / (1 + sigma**2)


class Turn(VelocityField):
    """The first two coordinates turn around each other."""

    def unscaled(self, x):
        return torch.cat([x[:, 1:2], -x[:, :1], 0 * x[:, 2:]], 1)


def gaussian(dim=3, integrator=RUNGE_KUTTA, **lengths):
    """A run whose snapshots have sides of their own, the score known, and its own field."""
    snapshots = split(GAUSSIAN[:, :dim] * SIDES[:dim], val=50, test=2000)
    model = FlowModel((dim,), snapshots.train, score={"name": "empirical"}, sigma=0.5)
    model.score = GaussianScore()
    field = Turn((dim,))
    field.sigma = 0.5
    own = compared("own", "network", field, snapshots=snapshots)
    return Display(model.eval(), snapshots, integrator, 3, **lengths), own


@pytest.mark.parametrize("dim", [2, 3])
def test_arrows_of_the_score_lead_to_the_expected_clean_state(dim):
    display, _ = gaussian(dim)
    limits = portraits.limits_of(display.states(0.5))
    start, end = overview.on_grid(display, limits) if dim == 2 else overview.at_states(display)
    mean = display.snapshots.standardiser.mean.numpy()[[0, -1]]
    assert len(start) > 50
    assert np.allclose(end - mean, (start - mean) / (1 + 0.5**2), atol=1e-5)


def test_no_arrow_of_the_score_is_far_from_the_data():
    display, _ = gaussian(2)
    start, _ = overview.on_grid(display, portraits.limits_of(display.states(0.5)), reach=0.4)
    z = display.snapshots.standardiser.standard(torch.as_tensor(start))
    apart = torch.cdist(z, display.snapshots.test.double()).amin(1)
    assert 0 < len(start) < overview.ARROWS_IN_ROW**2
    assert apart.max() < 0.4 * 0.5


@pytest.mark.parametrize("dim", [2, 3])
def test_sde_of_the_overview_keeps_the_distribution(dim):
    display, own = gaussian(dim, sde_time=6.0)
    after, paths = overview.diffused(own, display)
    z = display.snapshots.standardiser.standard(torch.as_tensor(after))
    assert paths.shape == (61, overview.SDE_PATHS, dim)
    assert z.var(0).numpy() == pytest.approx(1 / (1 + 0.5**2), rel=0.2)  # five standard errors
    harder = overview.diffused(own, gaussian(dim, HeunSDE(0.1, eta=3.0), sde_time=6.0)[0])[1]
    assert np.abs(np.diff(harder, axis=0)).mean() > 2 * np.abs(np.diff(paths, axis=0)).mean()


@pytest.mark.parametrize(("dim", "sigma"), [(2, 0.5), (3, 0.5), (3, 0.0)])
def test_overview_shows_score_dynamics_and_sde_on_the_same_limits(dim, sigma):
    display, own = gaussian(dim)
    own.field.sigma = sigma
    figure = overview.overview(own, display)
    titles = [axes.get_title() for axes in figure.axes]
    for title, start in zip(titles, ("score of the data", "network", "SDE, η = 0.1"), strict=True):
        assert title.startswith(start)
    assert titles[1].endswith(f"{SIGMA} = {sigma:g}")
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    assert {axes.get_ylabel() for axes in figure.axes} == {"xyz"[dim - 1]}
    orbits = [axes.lines for axes in figure.axes]
    assert len(orbits[0]) == 0
    assert bool(len(orbits[1])) == (dim == 3)  # in the plane there are streamlines
    assert len(orbits[2]) == overview.SDE_PATHS + 1  # and the dots of the starts


def test_page_says_what_the_sde_of_equations_keeps(tmp_path):
    field, findings = law_of()
    metrics = PRESERVED | {"preservation/sigma": 0.0}
    page = report(tmp_path, 2, metrics, field=field, findings=findings)[1]
    assert "this SDE keeps neither distribution exactly" in page
    assert "this SDE keeps neither distribution exactly" not in report(tmp_path, 2, PRESERVED)[1]


@pytest.mark.parametrize("oriented", [True, False])
def test_velocities_at_unit_speed_and_an_open_sign(oriented):
    field, findings = law_of()
    snapshots = split(torch.randn(300, 2, dtype=torch.float64), val=50, test=100)
    snapshots = replace(snapshots, velocity=lambda z: -7 * field(z))
    display = Display(FlowModel((2,), snapshots.train), snapshots, RK4())
    changed = replace(findings, oriented=oriented)
    library = compared("own", "library", field, {}, changed, snapshots)
    v, truth = display.velocities(library)
    assert np.allclose(v, -truth if oriented else truth, atol=1e-6)
    assert np.isclose((v**2).mean(), 1)


def test_stochastic_integrator_and_global_state(tmp_path):
    before = dict(matplotlib.rcParams)
    figures, page = report(tmp_path, 3, PRESERVED, integrator=HeunSDE(0.2, 0.1))
    assert "HeunSDE, dt 0.2" in page
    assert dict(matplotlib.rcParams) == before
    assert "trajectories" in {path.stem for path in figures}


@pytest.mark.parametrize("truth", [True, False])
def test_the_film_shows_fields_beside_the_truth_or_the_snapshots(truth):
    display, own = gaussian()
    if truth:
        display.snapshots = replace(display.snapshots, velocity=own.field)
    portraits = opening.moving([own], display)
    titles = [portrait.title for portrait in portraits]
    assert titles == (["network", "true system"] if truth else ["held-out snapshots", "network"])
    first, *_, last = opening.frames(portraits, display)
    assert first.shape == last.shape
    assert all(side % 2 == 0 for side in first.shape[:2])
    changed = (first != last).any((0, 2))
    half = len(changed) // 2
    assert changed[half:].any()
    assert changed[:half].any() == truth  # snapshots stand still


def test_states_beyond_the_axes_are_not_painted():
    frame = np.full((20, 30, 3), 255, np.uint8)
    points = np.array([[15.0, 5.0], [1e30, 5.0], [2.0, 5.0]])
    opening._paint(frame, points, np.array([10, 2, 28, 18]), (0, 0, 0), radius=1)
    rows, columns = np.nonzero((frame == 0).all(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 15, 14, 16)
