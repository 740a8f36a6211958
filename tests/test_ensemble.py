"""Ensembles: equal to their members one by one, trained, saved and measured as one."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from eqflow.data import split
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow, load
from eqflow.evaluation import (
    ComparedField,
    Protocol,
    Reference,
    embedding,
    evaluate,
    evaluate_members,
    kinds,
    member_chaos,
)
from eqflow.evaluation.members import mean_and_spread
from eqflow.evaluation.pairs import classical_scaling, pair_table
from eqflow.fields import Ensemble, build_ensemble, build_field
from eqflow.report.pairs import pairs
from eqflow.score import build_score
from eqflow.simulate import RK4
from eqflow.stationarity import orientation
from eqflow.stationarity.divergence import exact
from eqflow.training import flow_module, quiet_trainer, train_loader

TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
POINTS = torch.randn(400, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([1, 0.5])


def score():
    return build_score(name="empirical", shape=(2,), points=POINTS)


def ensemble(members=3, **arguments):
    return build_ensemble(members, "network", (2,), score(), 0.2, seed=5, width=8, **arguments)


def trained(field, condition="strong", steps=20, **options):
    options |= {"condition": condition, "steps": steps, "seed": 2}
    module = flow_module(field, score(), POINTS, **options)
    trainer = quiet_trainer(steps, accelerator="cpu")
    trainer.fit(module, train_loader(POINTS, 64, steps, seed=2))
    return field.requires_grad_(False)


def test_velocities_are_those_of_the_members():
    fields = ensemble()
    torch.testing.assert_close(
        fields.at_common_states(POINTS),
        torch.stack([fields[k](POINTS) for k in range(len(fields))]),
    )
    fields.medoid.fill_(2)
    torch.testing.assert_close(fields(POINTS), fields[2](POINTS))


def test_threads_may_evaluate_and_copy_members_at_once():
    fields = ensemble()
    ways = [fields.at_common_states, fields, lambda x: fields[1](x)]
    alone = [way(POINTS) for way in ways]
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(way, POINTS) for _ in range(100) for way in ways]
    for found, expected in zip(calls, alone * 100, strict=True):
        torch.testing.assert_close(found.result(), expected)


def test_the_first_member_is_the_field_alone_and_seeds_share_none():
    alone = build_field("network", (2,), score(), 0.2, 5, width=8)
    assert torch.equal(ensemble()[0](POINTS), alone(POINTS))
    weights = [
        build_ensemble(4, "network", (2,), score(), 0.2, seed=seed, width=8)[k].network.last.weight
        for seed in range(3)
        for k in range(4)
    ]
    assert len({tuple(w.flatten().tolist()) for w in weights}) == 12


@pytest.mark.parametrize("condition", ["strong", "weak"])
def test_members_are_trained_as_each_one_alone(condition):
    fields = ensemble()
    alone = [trained(fields[k].requires_grad_(), condition) for k in range(len(fields))]
    start = fields.at_common_states(POINTS)
    trained(fields, condition)
    expected = torch.stack([field(POINTS) for field in alone])
    assert (expected - start).abs().mean() > 0.1
    torch.testing.assert_close(fields.at_common_states(POINTS), expected, rtol=1e-3, atol=1e-4)


def test_members_of_the_weak_form_are_turned_round_where_they_expand():
    fields = build_ensemble(2, "network", (2,), score(), 0.2)
    assert orientation(exact(fields[0], POINTS)[1]).determined
    fields.put(1, fields[0].reverse_())
    v = fields.at_common_states(POINTS)
    torch.testing.assert_close(v[1], -v[0])
    trained(fields, "weak", steps=1, learning_rate=1e-12)  # they stay as they are
    v = fields.at_common_states(POINTS)
    torch.testing.assert_close(v[1], v[0])


def test_normalising_gives_every_member_unit_speed_and_finds_the_medoid():
    fields = ensemble(4)
    for k in range(2, 4):  # two of a kind
        fields.put(k, fields[1])
    fields.normalise_([POINTS[:100], POINTS[100:]])
    v = fields.at_common_states(POINTS)
    torch.testing.assert_close(v.square().mean((1, 2)), torch.ones(4))
    torch.testing.assert_close(v.mean(1), torch.zeros(4, 2), atol=1e-5, rtol=0)
    assert fields.medoid != 0
    expected = torch.nn.functional.cosine_similarity(v[0].flatten(), v[1].flatten(), dim=0)
    assert fields.cosines(POINTS)[0, 1].item() == pytest.approx(expected.item(), rel=1e-4)


def test_an_ensemble_is_saved_and_loaded_as_one(tmp_path):
    flow = EquilibriumFlow(
        score={"name": "empirical"}, field={"width": 8}, flow_training={"steps": 3}, ensemble=3
    ).fit(POINTS.numpy())
    flow.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again.model.field, Ensemble)
    assert len(again.model.field) == 3
    x = POINTS[:5].numpy()
    assert (again.velocity(x) == flow.velocity(x)).all()
    torch.testing.assert_close(
        again.model.field.at_common_states(POINTS), flow.model.field.at_common_states(POINTS)
    )


def test_measures_are_means_over_members_with_their_spread():
    fields = ensemble(4).normalise_([POINTS])
    data = replace(split(POINTS, val=20, test=200), velocity=lambda x: x @ TURN)
    protocol = Protocol((1,), starts=50, splits=5, transport=False, chaos=0)
    parts = (score(), Reference(data, 0.2, protocol), RK4(0.1))
    found = evaluate_members(fields, "network", *parts)
    each = torch.tensor([evaluate(fields[k], *parts)["truth/cos_signed"] for k in range(4)])
    assert found["truth/cos_signed"] == pytest.approx(each.mean().item())
    assert found["truth/cos_signed_std"] == pytest.approx(each.std().item())
    assert found["members"] == 4
    assert found["preservation/sigma"] == 0.2


def test_exponents_are_among_the_measures_of_members():
    fields, data = ensemble(3).normalise_([POINTS]), split(POINTS, val=20, test=200)
    times = {"chaos_transient": 1.0, "chaos_duration": 2.0}
    protocol = Protocol((1,), starts=50, splits=5, transport=False, chaos=2, **times)
    reference = Reference(data, 0.2, protocol)
    found = evaluate_members(fields, "network", score(), reference, RK4(0.1))
    each = member_chaos(fields, reference, RK4(0.1))
    mean = sum(one["chaos/lyapunov_max"] for one in each) / 3
    assert found["chaos/lyapunov_max"] == pytest.approx(mean)


def test_pairs_of_kinds_are_compared():
    """In the plane all skew maps are one up to sign, and nothing is like the score of it."""
    fields = ensemble(4).normalise_([POINTS])
    data = replace(split(POINTS, val=20, test=200), velocity=lambda x: x @ TURN)
    found = kinds(fields, "network", score(), Reference(data, 0.2, Protocol()))
    table = pair_table(found)
    cosines = found["network"] @ found["network"].T
    assert table["pairs/network/network"] == pytest.approx((cosines.abs().sum() - 4).item() / 12)
    assert table["pairs/skew/skew"] == pytest.approx(1, abs=1e-5)
    assert table["pairs/skew/skew_std"] == pytest.approx(0, abs=1e-5)
    assert table["pairs/skew/score"] < 0.2 < table["pairs/skew/truth"]
    assert "pairs/score/score" not in table


@pytest.mark.slow
def test_umap_keeps_alike_fields_together_whatever_their_sign():
    pytest.importorskip("umap")
    rows = torch.randn(2, 1, 50).expand(2, 20, 50) + 0.3 * torch.randn(2, 20, 50)
    rows = torch.nn.functional.normalize(rows.flatten(0, 1), dim=1) * torch.randn(40, 1).sign()
    threads = torch.get_num_threads()
    places, method = embedding(rows @ rows.T)
    assert method == "UMAP"
    assert torch.get_num_threads() == threads
    apart = torch.cdist(places, places)
    kind = torch.arange(40) // 20
    alike = kind[:, None] == kind
    assert apart[alike].max() < apart[~alike].min()
    assert torch.equal(embedding(rows @ rows.T)[0], places)


def test_few_fields_are_placed_without_umap(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    cosines = torch.eye(15).double()
    places, method = embedding(cosines)
    assert method == "classical scaling"
    assert torch.equal(places, classical_scaling(cosines))


def test_classical_scaling_keeps_distances_of_fields_in_a_plane():
    angles = torch.tensor([0.0, 0.1, 0.15, 0.3])
    rows = torch.stack([angles.cos(), angles.sin()], 1).double()
    places = classical_scaling(rows @ rows.T)
    expected = torch.cdist(rows, rows)  # on a short arc the third dimension is small
    torch.testing.assert_close(torch.cdist(places, places), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("members", "family", "shape"),
    [(0, "network", (2,)), (2, "skew", (2,)), (2, "library", (2,)), (2, "network", (2, 8, 8))],
)
def test_ensembles_that_make_no_sense_are_refused(members, family, shape):
    with pytest.raises(InputError, match=rf"flow\.ensemble={members} found"):
        build_ensemble(members, family, shape, score(), 0.2)


def test_an_ensemble_beyond_the_memory_is_refused_before_it_is_trained(monkeypatch):
    monkeypatch.setattr("eqflow.runtime.memory.free_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"flow\.ensemble=3 with batches of 64 takes about"):
        trained(ensemble())


def test_pairs_are_drawn_for_every_kind():
    fields = ensemble(3).normalise_([POINTS])
    reference = Reference(split(POINTS, val=20, test=200), 0.2, Protocol())
    found = kinds(fields, "network", score(), reference)
    table, _, plane = pairs(found, pair_table(found)).axes
    assert len(table.texts) == 9  # of 10 pairs of kinds, the score has none of its own
    assert len(plane.get_legend().texts) == len(plane.collections) == 4


def test_a_measure_is_of_the_members_that_have_it():
    """One that throws all states out has no exponents, whichever of them it is."""
    away, one, two = {"left": 1.0}, {"left": 0.0, "rate": 1.0}, {"left": 0.0, "rate": 3.0}
    found = mean_and_spread([away, one, two])
    assert (found["rate"], found["rate_std"]) == (2, pytest.approx(2**0.5))
    assert (found["left"], found["left_std"]) == pytest.approx((1 / 3, 3**-0.5))
    assert "rate_std" not in mean_and_spread([away, one])


def test_the_spread_of_a_measure_is_no_horizon():
    numbers = {"preservation/mmd2_ratio_h10": 1.0, "preservation/mmd2_ratio_h10_std": 0.2}
    reference = Reference(split(POINTS, val=20, test=200), 0.2, Protocol())
    members = ComparedField("member", "network", ensemble(), reference, numbers)
    assert members.ratios == {10.0: 1.0}


def test_members_of_any_family_are_stacked_also_with_buffers_that_are_not_saved():
    fields = [build_field("stream", (2,), score(), 0.2, seed) for seed in range(3)]
    together = Ensemble(fields).normalise_([POINTS])
    for k, field in enumerate(fields):
        torch.testing.assert_close(together[k](POINTS), field.normalise_([POINTS])(POINTS))
