import re

import numpy as np
import pytest
import torch
from films import decoded
from matplotlib.colors import Normalize

from eqflow.data import split
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow
from eqflow.evaluation import ComparedField, Protocol, Reference
from eqflow.fields import build_field
from eqflow.fields.linear import MinusX
from eqflow.model import FlowModel
from eqflow.report import frames
from eqflow.report.display import Display
from eqflow.report.page import StageRecord, write_report
from eqflow.report.verdict import verdict
from eqflow.simulate import HeunSDE

SIDE = 12
CONFIG = {
    "name": "images",
    "seed": 0,
    "flow": {"family": "minus_x", "sigma": 0.24},
}
MEASURED = {
    "preservation/mmd2_ratio_h1": 0.3,
    "preservation/mmd2_ratio_h10": 0.4,
    "fields/structure_ratio": 0.81,
    "fields/histogram_ratio": 0.92,
    "truth/cos": 0.41,
    "truth/cos_signed": 0.41,
    "truth/cos_mean": 0.4,
    "truth/cos_std": 0.1,
    "truth/clean/cos_mean": 0.2,
    "truth/clean/cos_std": 0.05,
    "truth/images": 25,
    "truth/cross/waves": 0.41,
    "truth/cross/maze": 0.11,
    "displacement/odd_cos": 0.35,
    "displacement/odd_cos_std": 0.17,
    "displacement/published_cos": 0.5,
    "displacement/published_cos_std": 0.2,
}
KERNELS = {
    "truth/cos": 0.05,
    "truth/cos_std": 0.03,
    "truth/cos_mean": 0.01,
    "truth/cos_mean_std": 0.06,
}


def split_by_prefix(metrics, prefix):
    """Measures without the prefix, and those with it under their own names."""
    those = {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix)}
    return {n: v for n, v in metrics.items() if not n.startswith(prefix)}, those


def written(folder, metrics, shape=(2, SIDE, SIDE), truth=torch.neg):
    x = torch.randn(60, *shape, dtype=torch.float64)
    snapshots = split(x, val=10, test=20, velocity=truth)
    model = FlowModel(shape, snapshots.train, "minus_x", 0.24, score={"name": "empirical"})
    reference = Reference(snapshots, 0.24, Protocol())
    own, null = split_by_prefix(metrics, "null/score/")
    run = [ComparedField("own", "minus_x", model.field, reference, own)]
    if null:
        score = build_field("score", shape, model.score, 0.24)
        run.append(ComparedField("null", "score", score, reference, null))
    lengths = {"textured_images": 3, "film_frames": 5}
    display = Display(model.eval(), snapshots, HeunSDE(0.5, 0.1), **lengths)
    write_report(folder, CONFIG, run, StageRecord({}, {}), display)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_run_on_images_has_its_figures_film_and_numbers(tmp_path):
    page = written(
        tmp_path,
        MEASURED
        | {
            "null/score/truth/cos_mean": 0.1,
            "null/score/truth/cos_std": 0.1,
            "null/score/truth/images": 25,
        },
    )
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    assert files == {"preservation.png", "frames.png", "textures.png", "similarity.png", "film.mp4"}
    assert page.count("data:image/png;base64,") == 4
    assert page.count("data:video/mp4;base64,") == 1
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    for text in ("0.4 ± 0.1", "0.2 ± 0.05", "0.35 ± 0.2", "0.5 ± 0.2", "0.81", "0.92"):
        assert f">{text}</td>" in page
    assert re.search(r"<th[^>]*>waves</th><th[^>]*>maze</th>", page)


def test_images_of_unknown_systems_are_shown_alone(tmp_path):
    page = written(tmp_path, {"preservation/mmd2_ratio_h1": 0.3}, (1, 9, 14), truth=None)
    assert "true system" not in page
    about, _ = decoded(tmp_path / "figures" / "film.mp4")
    assert about["size"][0] % 2 == about["size"][1] % 2 == 0


def test_a_film_decodes_to_its_frames(tmp_path):
    values = np.linspace(0, 1, 7)[:, None, None, None] * np.ones((7, 1, 15, 17))
    path = frames.film(tmp_path / "film.mp4", [values, 1 - values], Normalize(0, 1))
    about, images = decoded(path)
    zoom = -(-frames.PANEL_SIDE // 15)
    height, width = (4 + side * zoom + side * zoom % 2 for side in (15, 17))
    assert about["size"] == (2 * width, height)
    assert about["codec"].startswith("h264")
    assert "yuv420p" in about["pix_fmt"]
    assert len(images) == 7
    assert path.stat().st_size < 1e6
    for i, image in enumerate(images):
        for value, column in ((i / 6, width // 2), (1 - i / 6, width + width // 2)):
            expected = np.array(frames.COLOUR_MAP(value, bytes=True)[:3], float)
            assert np.abs(image[height // 2, column] - expected).max() < 12


def test_a_long_film_of_noise_stays_small(tmp_path):
    noise = np.random.default_rng(0).random((60, 1, 64, 64))
    path = frames.film(tmp_path / "film.mp4", [noise, noise], Normalize(0, 1))
    assert path.stat().st_size < 1e6


def test_the_colour_scale_is_one_for_all_and_bears_what_is_not_a_number():
    x = np.random.default_rng(0).normal(size=(50, 2, 8, 8))
    norm = frames.colour_scale(x)
    assert norm.vmin < -2 < 2 < norm.vmax
    x[0, -1, 0, 0], x[0, -1, 0, 1] = np.nan, -np.inf
    top, bottom = frames.COLOUR_MAP([1.0, 0.0], bytes=True)[:, :3]
    picture = frames._pixels(x[:1], norm)[0]
    assert (picture[3, 3] == top).all()
    assert (picture[3, 3 + -(-frames.PANEL_SIDE // 8)] == bottom).all()


def run_of(sigma=0.24, **changed):
    """A field, and random maps and the score beside it."""
    x = torch.randn(60, 2, SIDE, SIDE, dtype=torch.float64)
    field, reference = MinusX((2, SIDE, SIDE)), Reference(split(x, 10, 20), sigma, Protocol())
    field.sigma = sigma
    own = ComparedField("own", "skew", field, reference, MEASURED | changed)
    score = {"truth/cos_mean": -0.2, "truth/cos_std": 0.1, "truth/images": 25, "truth/cos": 0.2}
    return [
        own,
        ComparedField("null", "random_skew", field, reference, KERNELS),
        ComparedField("null", "score", field, reference, score),
    ]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "The field is aligned with the true velocity beyond every null measured (signed"),
        ({"truth/cos_mean": -0.4}, "is opposed to the true velocity beyond every null"),
        ({"truth/cos_mean": 0.03}, "is not aligned with the true velocity: its signed cosine"),
        ({"truth/cos_mean": 0.22}, "beyond the nulls (signed cosine 0.22 ± 0.1 over 25 images"),
        ({}, "Odd displacement: cosine 0.35 ± 0.17."),
        ({}, "histogram are within their resampling floors (0.81 and 0.92 times)"),
        ({"fields/histogram_ratio": 1.7}, "are not both within their resampling floors (0.81 and"),
    ],
)
def test_the_verdict_follows_the_numbers(changed, sentence):
    assert sentence in verdict(run_of(**changed))


def test_the_verdict_names_the_nulls_that_are_not_beaten():
    said = verdict(run_of(**{"truth/cos_mean": 0.22}))
    assert "against score \N{MINUS SIGN}0.2 ± 0.1)" in said
    assert "random skew" not in said.split("The distribution")[0]
    within = verdict(run_of(**{"truth/cos_mean": 0.1}))
    assert "random skew maps 0.05 ± 0.03" in within


def test_fields_of_clean_images_are_judged_by_preservation_alone():
    assert "aligned" not in verdict(run_of(sigma=0.0))


def test_flows_of_images_are_simulated_on_canvases_of_any_size():
    score = {"name": "conv", "width": 4, "depth": 1}
    model = FlowModel((2, SIDE, SIDE), torch.zeros(1, 2, SIDE, SIDE), "skew", 0.24, score=score)
    flow = EquilibriumFlow.of(model)
    x = torch.randn(1, 2, SIDE, SIDE)
    wide = x.tile(1, 1, 2, 3)
    alone, tiled = flow.simulate(x, [0.0, 0.2])[-1], flow.simulate(wide, [0.0, 0.2])[-1]
    assert (alone - x).abs().max() > 1e-2
    torch.testing.assert_close(tiled, alone.tile(1, 1, 2, 3), atol=1e-3, rtol=0)
    assert flow.simulate(wide, [0.0, 0.2], eta=0.1).isfinite().all()
    with pytest.raises(InputError, match=r"expected \(n, 2, height, width\)"):
        flow.simulate(wide[:, :1], [0.0, 0.2])
