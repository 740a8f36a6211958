import pytest
import torch
from torch.func import jacfwd, jacrev, jvp, vmap

from eqflow.nn import MLP

pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(params=[1, 2, 4], ids="depth{}".format)
def mlp(request):
    return MLP(3, 2, width=8, depth=request.param)


@pytest.fixture
def x():
    return torch.randn(5, 3)


def jacobians(mlp, x):
    return vmap(jacfwd(lambda row: mlp(row[None])[0]))(x)


def test_pushforward_is_the_value_and_the_jacobian_times_each_tangent(mlp, x):
    tangents = torch.randn(4, 5, 3)
    value, pushed = mlp.pushforward(x, tangents)
    expected = torch.einsum("boi,nbi->nbo", jacobians(mlp, x), tangents)
    torch.testing.assert_close(value, mlp(x), rtol=0, atol=1e-14)
    torch.testing.assert_close(pushed, expected, rtol=0, atol=1e-12)


def test_pushforward_broadcasts_tangents_shared_by_the_batch(mlp, x):
    _, columns = mlp.pushforward(x, torch.eye(3)[:, None])
    torch.testing.assert_close(columns.movedim(0, -1), jacobians(mlp, x), rtol=0, atol=1e-12)


def test_pullback_is_the_cotangent_times_the_jacobian(mlp, x):
    cotangent = torch.randn(5, 2)
    expected = torch.einsum("bo,boi->bi", cotangent, vmap(jacrev(lambda r: mlp(r[None])[0]))(x))
    torch.testing.assert_close(mlp.pullback(x, cotangent), expected, rtol=0, atol=1e-12)


def test_pullback_broadcasts_a_cotangent_shared_by_the_batch(mlp, x):
    cotangent = torch.randn(1, 2)
    expected = mlp.pullback(x, cotangent.expand(5, -1))
    torch.testing.assert_close(mlp.pullback(x, cotangent), expected, rtol=0, atol=1e-14)


def test_both_passes_can_be_differentiated_again(x):
    mlp = MLP(3, 2, width=4, depth=2)
    inputs = (x[:2].requires_grad_(), *mlp.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: mlp.pushforward(x, torch.eye(3)[:, None]), inputs)
    # the bias of the linear last layer has no part in a gradient
    assert torch.autograd.gradcheck(lambda x, *_: mlp.pullback(x, x[:, :2]), inputs[:-1])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_both_passes_work_without_autograd(mlp, x, mode):
    cotangent = torch.randn(5, 2)
    expected = mlp.pullback(x, cotangent), mlp.pushforward(x, x[None])[1]
    with mode():
        found = mlp.pullback(x, cotangent), mlp.pushforward(x, x[None])[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_both_passes_work_under_forward_mode_and_vmap(mlp, x):
    eps, h = torch.randn(5, 3), 1e-5
    for pass_ in (lambda x: mlp.pullback(x, x[:, :2]), lambda x: mlp.pushforward(x, x[None])[1]):
        _, found = jvp(pass_, (x,), (eps,))
        difference = (pass_(x + h * eps) - pass_(x - h * eps)) / (2 * h)
        torch.testing.assert_close(found, difference, rtol=1e-7, atol=1e-8)
        rowwise = vmap(jacfwd(lambda row, pass_=pass_: pass_(row[None]).reshape(-1)))(x)
        by_row = torch.einsum("boi,bi->bo", rowwise, eps)
        torch.testing.assert_close(by_row, found.reshape(5, -1), rtol=0, atol=1e-12)
