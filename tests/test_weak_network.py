"""The weak form of the condition for a network."""

import pytest
import torch
from pytorch_lightning.callbacks import LambdaCallback
from torch import Tensor

from eqflow.errors import InputError
from eqflow.fields import Network, VelocityField, build_field
from eqflow.runtime import distributed
from eqflow.score import EmpiricalScore
from eqflow.stationarity.divergence import exact
from eqflow.training import Batch, FlowModule, WeakModule, flow_module, quiet_trainer, train_loader


class Formula(VelocityField):
    """A field given by a function of the coordinates."""

    def __init__(self, dim, velocity):
        super().__init__((dim,))
        self.velocity = velocity

    def unscaled(self, x: Tensor) -> Tensor:
        return torch.stack(self.velocity(*x.T), dim=1)


ROTATION = Formula(2, lambda x, y: (-y, x))
SPROTT_A = Formula(3, lambda x, y, z: (y, -x + y * z, 1 - y**2))
"""Both keep a standard normal distribution as it is."""


class OnFormula(WeakModule):
    """The weak form of any field: only networks are turned round after training."""

    def __init__(self, field, states, **arguments):
        super().__init__(Network((field.dim,), 1, 1), states, **arguments)
        self.field = field


def weak(field, n=20_000, **arguments):
    """The module of a field on standard normal states, and these as a batch."""
    states = torch.randn(n, field.dim)
    return OnFormula(field, states, **arguments), Batch(states, n)


def products(module, batch, size=500):
    """Of many small batches: ``<g_even, g_odd>``, and the biased square of all their moments."""
    parts = (Batch(x, len(x)) for x in batch.states.split(size))
    moments = [module.moments(part, step)[:2] for step, part in enumerate(parts)]
    squares = [(even + odd).square().sum() / 4 for even, odd in moments]
    return torch.stack([even @ odd for even, odd in moments]), torch.stack(squares)


def standard_error(values):
    return values.std() / len(values) ** 0.5


@torch.no_grad()
def test_the_loss_is_unbiased_where_the_moments_are_not_zero():
    down = Formula(2, lambda x, y: (-x, -0.5 * y))
    module, batch = weak(down, 100_000, functions=40)
    found, squares = products(module, batch)
    # 200 times as many states have a 200th of the bias
    (exact_square,) = products(module, batch, len(batch.states))[1]
    assert abs(found.mean() - exact_square) < 4 * standard_error(found)
    assert squares.mean() - exact_square > 4 * standard_error(squares)


@torch.no_grad()
@pytest.mark.parametrize("field", [ROTATION, SPROTT_A], ids=["rotation", "SprottA"])
def test_a_field_that_keeps_the_distribution_has_no_loss_on_average(field):
    module, batch = weak(field, 100_000, functions=60, smoothness=0.0)
    found, squares = products(module, batch)
    assert abs(found.mean()) < 4 * standard_error(found)
    assert squares.mean() > 8 * standard_error(found)


def test_an_isotropic_velocity_of_unit_size_has_uncorrelated_moments():
    states = torch.randn(8000, 2)
    module = OnFormula(ROTATION, states, functions=8)
    v = torch.randn(8000, 2) / 2**0.5
    slopes = torch.sin(states @ module.frequencies.T + module.phases).neg()
    moments = slopes * (v @ module.frequencies.T) @ module.mix
    identity = torch.eye(moments.shape[1])
    assert (torch.cov(moments.T) - identity).abs().max() < 0.1


def test_the_roughness_of_a_linear_field_is_its_dirichlet_energy():
    matrix = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    linear = Formula(2, lambda x, y: (x - 2 * y, 0.5 * x + 3 * y))
    module, batch = weak(linear, 200_000, functions=5)
    *_, speed, roughness = module.moments(batch, 0)
    assert roughness.item() == pytest.approx(matrix.square().sum().item(), rel=0.02)
    assert speed.item() == pytest.approx(matrix.square().sum().item(), rel=0.02)


def test_the_roughness_counts_second_derivatives():
    # v = (x^2, 0): d_u v = 2 x u_x of mean square 4, d_u^2 v = 2 u_x^2 of mean square 12
    module, batch = weak(Formula(2, lambda x, y: (x**2, 0 * y)), 400_000, functions=5)
    assert module.moments(batch, 0)[-1].item() == pytest.approx(16, rel=0.05)


def test_the_penalty_enters_with_its_weight():
    module, batch = weak(ROTATION, 2000)
    module.smoothness = 0.0
    bare = module.loss(batch, 0)
    module.smoothness = 0.3
    *_, speed, roughness = module.moments(batch, 0)
    torch.testing.assert_close(module.loss(batch, 0) - bare, 0.3 * roughness / speed)


def test_the_loss_depends_neither_on_speed_nor_on_sign():
    module, batch = weak(Network((3,), 8, 2), 2000)
    loss = module.loss(batch, 0).item()
    module.field.scale.mul_(-7)
    assert module.loss(batch, 0).item() == pytest.approx(loss, rel=1e-3)


def test_rest_is_no_solution():
    module, batch = weak(Network((2,), 8, 2), 2000)
    fast = module.loss(batch, 0).item()
    for parameter in module.field.network.last.parameters():
        parameter.data.mul_(1e-3)
    assert module.loss(batch, 0).item() == pytest.approx(fast, rel=0.05)


@pytest.mark.parametrize("total", [4000, 4001])
def test_two_processes_average_to_the_gradient_of_one(total, monkeypatch):
    field = Network((2,), 8, 2)
    module, batch = weak(field, total)
    module.loss(batch, 0).backward()
    whole = field.network.last.weight.grad.clone()
    means = torch.cat([torch.atleast_1d(part) for part in module.moments(batch, 0)]).detach()
    grads = []
    for rank, mine in enumerate((slice(total // 2), slice(total // 2, None))):
        monkeypatch.setattr(distributed, "rank_and_world", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(distributed.distributed, "all_reduce", lambda x: x.copy_(means))
        field.zero_grad()
        module.loss(Batch(batch.states[mine], total), 0).backward()
        grads.append(field.network.last.weight.grad.clone())
    torch.testing.assert_close(sum(grads) / 2, whole, rtol=1e-3, atol=1e-5)


def test_a_batch_of_one_state_is_harmless():
    module, batch = weak(ROTATION, 100)
    assert module.loss(Batch(batch.states[:1], 1), 0).isfinite()


def test_the_loss_follows_seed_and_step_only():
    module, batch = weak(Network((2,), 8, 2), 500)
    first = module.loss(batch, 3)
    torch.manual_seed(6)
    assert module.loss(batch, 3) == first
    assert module.loss(batch, 4) != first


def small(states):
    return build_field("network", (2,), EmpiricalScore(states), 0.2, width=16, depth=2)


def trained(states, batch_size, **options):
    """A small network after training under Lightning."""
    field = small(states)
    module = WeakModule(field, states, **options)
    trainer = quiet_trainer(module.steps, accelerator="cpu")
    trainer.fit(module, train_loader(states, batch_size, 100, 0))
    return field.requires_grad_(False)


def test_gaussian_data_give_the_rotation():
    states = torch.randn(8000, 2)
    field = trained(states, 500, functions=40, smoothness=0.1, steps=300).normalise_([states])
    x = torch.randn(2000, 2)
    v, turned = field(x), ROTATION(x)
    assert abs((v * turned).sum()) / (v.norm() * turned.norm()) > 0.99


def test_a_field_that_expands_is_turned_round():
    # one step of almost no length: the field is the random one it started as
    states = torch.randn(1000, 2)
    before, after = small(states), trained(states, 500, steps=1, learning_rate=1e-12)
    flows = [exact(field, states)[1].mean().item() for field in (before, after)]
    assert flows[1] == pytest.approx(-abs(flows[0]), rel=1e-3)


def test_a_training_that_resumes_after_its_last_step_is_turned_round_too(tmp_path):
    states, last = torch.randn(1000, 2), tmp_path / "last.ckpt"
    fields = []
    for start in (None, last):
        module = WeakModule(small(states), states, steps=1, learning_rate=1e-12)
        saved = LambdaCallback(on_train_epoch_end=lambda trainer, _: trainer.save_checkpoint(last))
        trainer = quiet_trainer(1, accelerator="cpu", callbacks=[saved])
        trainer.fit(module, train_loader(states, 500, 1, 0), ckpt_path=start)
        fields.append(module.field.requires_grad_(False))
    assert exact(fields[0], states)[1].mean() < 0
    torch.testing.assert_close(fields[1](states), fields[0](states))


def test_turning_round_reverses_the_velocity_with_its_mean():
    field, x = Network((3,)).normalise_([torch.randn(500, 3)]), torch.randn(10, 3)
    before = field(x)
    torch.testing.assert_close(field.reverse_()(x), -before)


def test_the_condition_chooses_the_module():
    states, field = torch.randn(100, 2), Network((2,))
    arguments = (field, EmpiricalScore(states), states)
    assert isinstance(flow_module(*arguments, evenness=0.2), FlowModule)
    assert isinstance(flow_module(*arguments, condition="weak", smoothness=0.1), WeakModule)


def test_checkpoints_hold_no_copy_of_the_functions():
    module = WeakModule(Network((2,)), torch.randn(100, 2))
    assert all(name.startswith("field.") for name in module.state_dict())


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"functions": 0}, "flow.functions=0"),
        ({"smoothness": -1.0}, "flow.smoothness=-1.0"),
        ({"steps": 0}, "flow.training: steps=0"),
    ],
)
def test_wrong_options_are_refused(option, sentence):
    with pytest.raises(InputError, match=sentence):
        WeakModule(Network((2,)), torch.randn(100, 2), **option)


def test_an_unknown_condition_is_refused():
    states = torch.randn(100, 2)
    with pytest.raises(InputError, match=r"flow\.condition=nope.*strong or weak"):
        flow_module(Network((2,)), EmpiricalScore(states), states, condition="nope")


def test_a_module_can_be_built_before_there_are_data():
    WeakModule(Network((3,)), torch.zeros(2, 3))
