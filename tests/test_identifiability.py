"""The identifiability report: spread of fields, its parts, bands, a sweep's files."""

import json
from itertools import product
from math import pi

import numpy as np
import pytest
import runs
import torch
from omegaconf import OmegaConf

from eqflow.cli.sweeps.identifiability import factors
from eqflow.errors import InputError
from eqflow.evaluation import identifiability
from eqflow.metrics import (
    FUNCTIONALS,
    aligning_signs,
    analysis_of_variance,
    band,
    bootstrapped,
    cells,
    chance_spread,
    pointwise_spread,
    unit_fields,
    within_cells,
)
from eqflow.report.sweep.comparison import Job
from eqflow.report.sweep.identifiability import verdict, write_identifiability

COORDINATES = 60
TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])  # v = x @ TURN turns anticlockwise


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def design(seeds, **levels):
    """Levels of every combination, ``seeds`` members each."""
    rows = [row for row in product(*levels.values()) for _ in range(seeds)]
    return {name: [row[k] for row in rows] for k, name in enumerate(levels)}


def spots(generator, *size):
    return torch.randn(*size, COORDINATES, generator=generator, dtype=torch.double)


def effect(size, shape, generator):
    """Deviations over a table of levels, zero in mean along each axis, of mean square ``size``."""
    parts = spots(generator, *shape)
    for axis in range(len(shape)):
        parts = parts - parts.mean(axis, keepdim=True)
    return parts * (size / parts.square().sum(-1).mean()).sqrt()


def test_known_components_are_recovered_and_factors_without_effect_read_zero():
    levels = design(2, data=[0, 1], width=[16, 32, 64], condition=["weak", "strong"])
    generator, found = drawn(3), []
    for _ in range(200):
        fields = torch.zeros(2, 3, 2, 2, COORDINATES).double()  # data, width, condition, seeds
        fields += effect(0.3, (3,), generator)[None, :, None, None]
        fields += effect(0.2, (3, 2), generator)[None, :, :, None]
        fields += (0.4 / COORDINATES) ** 0.5 * spots(generator, 2, 3, 2, 2)
        found.append(analysis_of_variance(fields.flatten(0, 3), levels))
    parts = torch.tensor([[s.total * share for share in s.shares.values()] for s in found])
    expected = {"data": 0, "width": 0.3, "condition": 0, "interactions": 0.2, "seeds": 0.4}
    assert list(found[0].shares) == list(expected)
    error = parts.std(0) / len(parts) ** 0.5
    assert (error < 0.004).all()
    assert ((parts.mean(0) - torch.tensor([*expected.values()])).abs() < 3 * error).all()
    shares = torch.tensor([[*s.shares.values()] for s in found])
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))


def test_a_factor_that_exists_at_one_level_of_another_is_nested_in_it():
    """Noise levels of the strong form alone, which has three; the weak one has as many members."""
    levels = {
        "condition": ["strong"] * 6 + ["weak"] * 6,
        "noise": [0.1, 0.1, 0.2, 0.2, 0.4, 0.4] + [0.0] * 6,
    }
    generator, found = drawn(4), []
    for _ in range(200):
        fields = (0.1 / COORDINATES) ** 0.5 * spots(generator, 12)
        fields[6:] *= 3**0.5  # cells may have unequal seed variances, and unequal numbers
        fields[:6] += effect(0.2, (3,), generator).repeat_interleave(2, 0)
        found.append(analysis_of_variance(fields, levels))
    parts = torch.tensor([[s.total * share for share in s.shares.values()] for s in found])
    error = parts.std(0) / len(parts) ** 0.5
    expected = torch.tensor([0, 0.1, 0, 0.2])  # half of the members have the effect
    assert ((parts.mean(0) - expected).abs() < 3 * error + 1e-7).all()


def test_factors_that_cannot_be_told_apart_and_cells_of_one_are_refused():
    levels = design(2, a=[0, 1], b=[0, 1])
    fields = spots(drawn(0), 8)
    with pytest.raises(InputError, match="no job that failed"):
        analysis_of_variance(fields[:-1], {name: values[:-1] for name, values in levels.items()})
    with pytest.raises(InputError, match="found 2 of 4 fields, expected 1"):
        analysis_of_variance(fields[:4], {"a": [0, 0, 1, 1], "b": [2, 2, 3, 3]})
    with pytest.raises(InputError, match=r"at least two that .* \(flow.ensemble=2\)"):
        analysis_of_variance(fields[:4], design(1, a=[0, 1], b=[0, 1]))


def test_signs_and_speeds_are_no_part_of_a_field():
    x = torch.randn(300, 2, generator=drawn(1))
    v = torch.stack([x @ TURN, x @ TURN + 0.3 * x.sin(), x.square(), x @ TURN + 0.5 * x.cos()])
    levels = {"kind": [0, 0, 1, 1]}
    factor = torch.tensor([2.0, -1.0, -0.1, 3.0])[:, None, None]
    one, other = (identifiability(x, fields, levels, x @ TURN) for fields in (v, factor * v))
    torch.testing.assert_close(one.fields, other.fields)
    assert one.spread.total == pytest.approx(other.spread.total)
    assert one.bands()["circulation"].truth > 0
    assert (one.fields[:2] @ one.truth > 0).all()


def test_fields_point_along_their_leading_direction():
    direction = unit_fields(spots(drawn(2), 1)[:, :, None])[0]
    flips = torch.tensor([1.0, -1.0, 1.0, 1.0]).double()
    fields = flips[:, None] * (direction + 0.01 * spots(drawn(3), 4))
    torch.testing.assert_close(aligning_signs(fields), flips)  # most keep theirs
    torch.testing.assert_close(aligning_signs(fields, -direction), -flips)


@pytest.mark.parametrize("dimensions", [1, 3, 10])
def test_unrelated_fields_agree_as_far_as_their_signs_are_chosen(dimensions):
    levels, generator, found = design(3, a=[0, 1], b=[0, 1]), drawn(11), []
    for _ in range(40):
        span = torch.linalg.qr(spots(generator, dimensions).T).Q.T
        weights = torch.randn(12, dimensions, generator=generator).double()
        fields = torch.nn.functional.normalize(weights @ span, dim=1)
        seen = analysis_of_variance(fields * aligning_signs(fields)[:, None], levels).total
        found.append(seen - chance_spread(fields, levels, draws=10))
    apart = torch.tensor(found)
    assert abs(apart.mean()) <= 3 * apart.std() / len(apart) ** 0.5 + 1e-9


def test_fields_that_are_one_have_no_spread_to_explain():
    fields = spots(drawn(12), 1).expand(4, -1) / 5
    found = analysis_of_variance(fields, design(2, a=[0, 1]))
    assert found.total == 0
    assert set(found.shares.values()) == {0.0}


def test_the_spread_at_states_is_that_of_the_fields():
    levels = design(3, a=[0, 1])
    fields = unit_fields(spots(drawn(5), 6, 1).view(6, 20, 3))
    cell = cells(levels, 6)
    assert pointwise_spread(fields, 20, cell).mean().item() == pytest.approx(
        analysis_of_variance(fields, levels).seeds
    )
    alike = fields[[0, 0, 0, 3, 3, 3]]
    torch.testing.assert_close(pointwise_spread(alike, 20, cell), torch.zeros(20).double())
    assert pointwise_spread(alike, 20, torch.zeros_like(cell)).min() > 0


def test_functionals_of_a_solid_rotation_of_a_ring():
    angle = 2 * pi * torch.arange(1000).double() / 1000
    x = 3 * torch.stack([angle.cos(), angle.sin()], 1) + 5  # about the mean, at any speed
    v = (x - 5) @ TURN.double()
    values = {name: f(x, torch.stack([v, -7 * v])) for name, f in FUNCTIONALS.items()}
    # unit speed is E|v|^2 / 2 = 1: |v| is the root of 2
    both = torch.tensor([1.0, -1.0]).double()
    torch.testing.assert_close(values["circulation"], 3 * 2**0.5 * both)
    torch.testing.assert_close(values["mean angular speed"], 2**0.5 / 3 * both)


def test_bands_of_a_known_family():
    """Uniform members, and cells whose means differ but whose seeds do not."""
    values = torch.linspace(0, 1, 2001).double()[:, None]
    assert band(values) == pytest.approx((0.05, 0.95))
    cell = torch.arange(40).repeat_interleave(500)
    seeds = torch.randn(len(cell), 1, generator=drawn(6)).double()
    values = 10 * cell[:, None] + seeds
    low, high = band(within_cells(values, cell))
    assert high - low == pytest.approx(2 * 1.6449, rel=0.03)
    assert (low + high) / 2 == pytest.approx(np.median(values), abs=0.05)


def test_bands_hold_the_error_of_a_finite_sample():
    """Of solid rotations of a normal distribution: ``(2 E r^2)^1/2`` is 2, its error ``n^-1/2``."""
    n = 1000
    x = torch.randn(n, 2, generator=drawn(9)).double()
    v = torch.stack([x @ TURN.double()] * 3)
    values = bootstrapped("circulation", x, v, draws=2000)
    low, high = band(values)
    assert (high - low) * n**0.5 == pytest.approx(2 * 1.6449, rel=0.08)
    torch.testing.assert_close(band(within_cells(values, torch.zeros(3).long())), (low, high))
    exact = FUNCTIONALS["circulation"](x, v)[0].item()
    assert low < exact < high


def known_identifiability(truth=True):
    """Two kinds of fields, alike within a kind."""
    x = torch.randn(200, 2, generator=drawn(7))
    noise = 0.01 * torch.randn(4, 200, 2, generator=drawn(8))
    v = torch.stack([x @ TURN, x @ TURN, x.square(), x.square()]) + noise
    return identifiability(x, v, {"kind": ["a", "a", "b", "b"]}, x @ TURN if truth else None)


@pytest.mark.parametrize("truth", [True, False])
def test_the_report_says_what_explains_the_spread(truth, tmp_path):
    found = known_identifiability(truth)
    assert found.spread.shares["kind"] > 0.99
    assert "Seeds alone make up 0 %" in verdict(found)
    assert "The factor that explains most is kind, 100 %" in verdict(found)
    assert ("The true circulation is " in verdict(found)) == truth
    write_identifiability(tmp_path, found)
    written = json.loads((tmp_path / "identifiability.json").read_text())
    assert written["cos"]["equal_factors"] > 0.99 > 0.2 > written["cos"]["unequal_factors"]
    assert ("truth_cos" in written) == truth
    assert (tmp_path / "identifiability.png").stat().st_size > 1000


def test_factors_are_what_varies_and_noise_is_what_a_field_lives_at():
    def job(condition, sigma, seed):
        given = {"data": "ring", "flow.condition": condition, "flow.sigma": sigma}
        flow = {"family": "network", "condition": condition, "sigma": float(sigma)}
        overrides = given | {"flow.seed": seed}
        return Job(str(seed), overrides, "finished", "", None, {}, ""), OmegaConf.create(
            {"flow": flow}
        )

    jobs = [job("strong", "0.1", "0"), job("strong", "0.2", "1"), job("weak", "0.1", "2")]
    assert factors(*map(list, zip(*jobs, strict=True))) == {
        "flow.condition": ["strong", "strong", "weak"],
        "flow.sigma": [0.1, 0.2, 0.0],
    }
    ring, moons = job("strong", "0.1", "0"), job("strong", "0.1", "1")
    moons[0].overrides["data"] = "two_moons"
    with pytest.raises(InputError, match="data=ring,two_moons: found fields of several dist"):
        factors(*map(list, zip(ring, moons, strict=True)))


@pytest.mark.slow
def test_a_sweep_ends_with_its_identifiability(tmp_path, monkeypatch):
    sizes = ["data.n=300", "data.val=20", "data.test=200", "flow.field.width=8", "flow.ensemble=2"]
    steps = ["score.training.steps=4", "flow.training.steps=4", "threads=1"]
    where = [f"sweep_dir={tmp_path}/s", f"cache_dir={tmp_path}/cache"]
    given = ["experiment=lorenz_identifiability", "flow.field.fourier=4", "flow.sigma=0.1,0.2"]
    assert runs.call(monkeypatch, "-m", *given, *sizes, *steps, *where) == 0
    found = json.loads((tmp_path / "s" / "identifiability.json").read_text())
    # weak fields of the two noise levels are of one cell
    assert (found["fields"], found["cells"], found["states"]) == (16, 6, 200)
    factors = {"data.seed", "flow.condition", "flow.sigma"}
    assert set(found["shares"]) == factors | {"interactions", "seeds"}
    assert found["bands"]["circulation"]["truth"] is not None
    assert {"identifiability.md", "identifiability.png"} <= {
        path.name for path in (tmp_path / "s").iterdir()
    }
