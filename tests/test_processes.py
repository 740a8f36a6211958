from itertools import chain, product

import pytest
import torch

from eqflow.runtime import Draws, generator, global_means, normal, rows
from eqflow.runtime import distributed as processes
from eqflow.training import noised_batches, train_loader, val_loader


@pytest.fixture
def on_rank(monkeypatch):
    """Run something as one of several processes."""

    def run(rank, world, work):
        monkeypatch.setattr(processes, "rank_and_world", lambda: (rank, world))
        return work()

    return run


# rows and randomness


@pytest.mark.parametrize(("total", "world"), product([1, 2, 7, 64], [1, 2, 3, 5]))
def test_rows_of_all_processes_are_all_rows_evenly(on_rank, total, world):
    slices = [on_rank(rank, world, lambda: rows(total)) for rank in range(world)]
    parts = [torch.arange(total)[s] for s in slices]
    assert torch.equal(torch.cat(parts), torch.arange(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("total", [8, 9, 17])
@pytest.mark.parametrize("world", [2, 3])
def test_normal_draws_of_all_processes_are_those_of_one(on_rank, total, world):
    x = torch.zeros(total, 2, 3)

    def draw():
        return normal(x[rows(total)], total, seed=3, draws=Draws.FLOW, step=11)

    parts = [on_rank(rank, world, draw) for rank in range(world)]
    assert torch.equal(torch.cat(parts), on_rank(0, 1, draw))


def test_normal_draws_are_standard():
    draws = normal(torch.zeros(100_000, 2), 100_000, seed=0, draws=Draws.FLOW)
    assert draws.mean(0).abs().max() < 5 / 100_000**0.5
    torch.testing.assert_close(
        draws.T @ draws / 100_000, torch.eye(2), rtol=0, atol=5 * (2 / 100_000) ** 0.5
    )


KEYS = [*product((0, 1, 2, 10), (Draws.DATA, Draws.FLOW, Draws.PROBES), (0, 1, 2**31))]


def test_seeds_streams_and_steps_have_draws_of_their_own():
    draws = torch.stack([torch.randn(50, generator=generator(*key)) for key in KEYS])
    distances = torch.cdist(draws, draws).fill_diagonal_(torch.inf)
    assert [KEYS[i] for i in (distances.min(1).values < 1).nonzero().flatten()] == []


@pytest.mark.parametrize("change", [{"seed": 1}, {"draws": Draws.SCORE}, {"step": 1}])
def test_normal_draws_change_with_each_of_seed_stream_and_step(change):
    x, key = torch.zeros(20, 2), {"seed": 0, "draws": Draws.FLOW, "step": 0}
    assert torch.equal(normal(x, 20, **key), normal(x, 20, **key))
    assert (normal(x, 20, **key) - normal(x, 20, **key | change)).abs().max() > 0.1


# losses that are functions of means


def loss(means):
    return means[0] / means[1] + means[2].square()


@pytest.mark.parametrize("cuts", [(8,), (4, 8), (3, 8), (1, 3, 8)])
def test_a_function_of_global_means_has_one_value_and_gradient_for_any_number_of_processes(
    on_rank, monkeypatch, cuts
):
    w, x = torch.randn(3, dtype=torch.float64, requires_grad=True), torch.randn(3, 8, 3).double()
    direct = loss(((x @ w) ** 2).mean(1))
    totals = ((x @ w) ** 2).mean(1).detach()
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.copy_(totals))
    parts = [slice(start, end) for start, end in zip((0, *cuts), cuts, strict=False)]
    found = [
        on_rank(rank, len(cuts), lambda s=part: loss(global_means((x[:, s] @ w) ** 2, 8)))
        for rank, part in enumerate(parts)
    ]
    torch.testing.assert_close(found, [direct] * len(cuts))
    mean = sum(torch.autograd.grad(value, w)[0] for value in found) / len(cuts)
    torch.testing.assert_close(mean, torch.autograd.grad(direct, w)[0])


# batches

STATES = torch.arange(23.0)[:, None]


def order(seed=0, first=0, steps=3, batch_size=5):
    loader = train_loader(STATES, batch_size, steps, seed)
    loader.sampler.first_step = first
    return [batch.states.flatten().tolist() for batch in loader]


def test_the_order_is_a_function_of_seed_and_step():
    assert order(0, 1) == order(0, 1)
    assert order(0, 0) != order(0, 7)
    assert order(0, 0) != order(1, 0)


def test_every_pass_visits_every_state_once_in_an_order_of_its_own():
    batches = order(steps=15)
    passes = [[*chain(*batches[i : i + 5])] for i in (0, 5, 10)]
    assert [len(batch) for batch in batches[:5]] == [5, 5, 5, 5, 3]
    assert [sorted(p) for p in passes] == [STATES[:, 0].tolist()] * 3
    assert passes[0] != passes[1] != passes[2]


@pytest.mark.parametrize("first", [1, 3, 5, 7])
def test_continuing_from_any_step_is_the_uninterrupted_order(first):
    whole = order(steps=first + 12)
    assert order(steps=first) + order(first=first, steps=12) == whole


def test_a_batch_larger_than_the_data_is_the_data():
    assert [sorted(batch) for batch in order(batch_size=100)] == [STATES[:, 0].tolist()] * 3


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize(
    "loader",
    [lambda: train_loader(STATES, 5, 7, 0), lambda: val_loader(STATES, 5)],
    ids=["train", "val"],
)
def test_rows_of_all_processes_are_the_global_batches(on_rank, loader, world):
    parts = [on_rank(rank, world, lambda: [*loader()]) for rank in range(world)]
    whole = on_rank(0, 1, lambda: [*loader()])
    assert {len(batch.states) for batch in whole} == {5, 3}
    for global_batch, mine in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat([batch.states for batch in mine]), global_batch.states)
        assert {batch.total for batch in mine} == {len(global_batch.states)}


def test_validation_sees_every_state_once():
    assert torch.equal(torch.cat([batch.states for batch in val_loader(STATES, 5)]), STATES)


def test_noised_batches_add_independent_noise_of_the_given_size():
    states = torch.zeros(40_000, 2)
    parts = [*noised_batches(states, 0.3)]
    assert [len(part) for part in parts] == [8192, 8192, 8192, 8192, 7232]
    noise = torch.cat(parts)
    torch.testing.assert_close(
        noise.T @ noise / 40_000, 0.09 * torch.eye(2), rtol=0, atol=0.09 * 0.05
    )
    assert not torch.equal(parts[0], parts[1])
