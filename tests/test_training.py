"""The losses that the two stages minimise."""

import pytest
import torch
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields import Network, VelocityField
from eqflow.runtime import distributed
from eqflow.score import MLPScore, Score
from eqflow.training import Batch, FlowModule, ScoreModule, flow_module


class GaussianScore(Score):
    """Score of ``N(0, (1 + sigma^2) I)``: standard normal data."""

    def forward(self, x, sigma):
        return -x / (1 + sigma**2)


class Curl(VelocityField):
    """A rotation of the plane at the speed ``profile(|x|^2)``: it keeps round distributions."""

    def __init__(self, profile=lambda r2: torch.ones_like(r2)):
        super().__init__((2,))
        self.profile = profile

    def unscaled(self, x: Tensor) -> Tensor:
        turned = torch.stack([-x[:, 1], x[:, 0]], dim=1)
        return self.profile(x.square().sum(1, keepdim=True)) * turned


@pytest.fixture
def batch():
    return Batch(torch.randn(4000, 2), 4000)


def loss(field: VelocityField, batch: Batch, **arguments) -> float:
    """The training loss of a field at the module's own noise draw."""
    return FlowModule(field, GaussianScore(), **arguments).loss(batch, step=0).item()


def test_a_stationary_field_of_constant_speed_has_no_loss(batch):
    assert loss(Curl(torch.rsqrt), batch) < 1e-8


def test_a_stationary_field_of_gaussian_speed_pays_half_its_unevenness(batch):
    # E|v|^4 / (E|v|^2)^2 is 1 + 2 / d = 2, half of the excess over 1 is free
    assert loss(Curl(), batch, evenness=1.0) == pytest.approx(0.5, abs=0.2)


def test_the_loss_does_not_depend_on_speed(batch):
    field = Network((2,), width=8, depth=2)
    slow = loss(field, batch)
    field.scale.mul_(7)
    assert loss(field, batch) == pytest.approx(slow, rel=1e-4)


def test_resting_almost_everywhere_is_stationary_but_uneven(batch):
    rushing = Curl(lambda r2: (r2 > 6).to(r2.dtype))
    assert loss(rushing, batch, evenness=0.0) < 1e-10
    assert loss(rushing, batch, evenness=0.1) > 0.5


def test_the_score_is_far_from_stationary(batch):
    class Down(VelocityField):
        def unscaled(self, x):
            return -x

    assert loss(Down((2,)), batch) > 1


def test_hutchinson_has_the_mean_of_the_exact_loss(batch):
    field = Network((2,), width=16, depth=2)
    module = FlowModule(field, GaussianScore(), divergence="hutchinson", evenness=0.0)
    estimates = torch.stack([module.loss(batch, step).detach() for step in range(40)])
    module.divergence = "exact"
    exact = torch.stack([module.loss(batch, step).detach() for step in range(40)])
    error = (estimates - exact).std() / 40**0.5
    assert abs((estimates - exact).mean()) < 4 * error


def test_the_loss_follows_seed_and_step_only(batch):
    field = Network((2,), width=8, depth=2)
    one, same, other = (FlowModule(field, GaussianScore(), seed=s) for s in (0, 0, 1))
    torch.manual_seed(5)
    first = one.loss(batch, 3)
    torch.manual_seed(6)
    assert same.loss(batch, 3) == first
    assert same.loss(batch, 4) != first
    assert other.loss(batch, 3) != first


def test_half_batches_of_two_processes_average_to_the_whole_gradient(batch, monkeypatch):
    field = Network((2,), width=8, depth=2)
    module = FlowModule(field, GaussianScore())
    module.loss(batch, 0).backward()
    whole = field.network.last.weight.grad.clone()
    means = whole_means(module, batch)
    halves = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank_and_world", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(distributed.distributed, "all_reduce", lambda local: local.copy_(means))
        field.zero_grad()
        mine = batch.states[2000 * rank : 2000 * (rank + 1)]
        module.loss(Batch(mine, 4000), 0).backward()
        halves.append(field.network.last.weight.grad.clone())
    torch.testing.assert_close(sum(halves) / 2, whole, rtol=1e-4, atol=1e-6)


def whole_means(module: FlowModule, batch: Batch) -> Tensor:
    """What a reduction over both processes would give."""
    r2, v2 = module._moments(batch, 0)
    return torch.stack([r2, v2, v2**2]).mean(1).detach()


def test_a_score_of_unit_gaussian_data_learns_nothing_from_a_zero_network():
    score = MLPScore((2,), width=8, depth=1, conservative=False)
    for parameter in score.network.last.parameters():
        torch.nn.init.zeros_(parameter)
    module = ScoreModule(score)
    x = torch.randn(20_000, 2)
    # the target has unit variance at every noise level, and zero is its best guess here
    assert module.loss(Batch(x, len(x)), 0).item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("option", ["condition", "divergence"])
def test_unknown_options_are_refused(option):
    with pytest.raises(InputError, match=rf"flow\.{option}=nope is unknown; expected .* or "):
        flow_module(Network((2,)), GaussianScore(), torch.zeros(2, 2), **{option: "nope"})


def test_the_exact_divergence_is_refused_where_it_costs_too_much():
    with pytest.raises(InputError, match="d = 300"):
        FlowModule(Network((300,)), GaussianScore(), divergence="exact")
