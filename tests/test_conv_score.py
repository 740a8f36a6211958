"""The score of images: its mathematics, its symmetries, and how it is trained."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule
from runs import call, forked, metrics
from torch.func import jvp, vmap

from eqflow.cli.processes import launch
from eqflow.errors import InputError
from eqflow.estimator import EquilibriumFlow
from eqflow.model import FlowModel
from eqflow.nn import PeriodicUNet
from eqflow.runtime import distributed
from eqflow.score import frames
from eqflow.score.images import ConvScore
from eqflow.training import Batch, ImageScoreModule, quiet_trainer, train_loader, val_loader
from eqflow.training.denoising import AveragedWeights, windows

SIGMA = 0.24


@pytest.fixture
def x(double):
    return torch.randn(3, 2, 16, 12)


def small(**options) -> ConvScore:
    return ConvScore((2, 8, 8), **{"width": 4, "depth": 2, **options})


@pytest.fixture(params=[0.0, 0.7], ids=["one level", "levels"])
def conservative(request, double):
    return small(conservative=True, noise_std=request.param)


# conservative form


def test_conservative_score_is_minus_the_gradient_of_its_energy(conservative, x):
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(conservative.energy(x, SIGMA).sum(), x)
    torch.testing.assert_close(conservative(x, SIGMA), -gradient, rtol=0, atol=1e-12)


def test_symmetrised_score_is_minus_the_gradient_of_the_mean_energy(x):
    score = small(conservative=True, symmetrise=5)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(score.energy(x, SIGMA).sum(), x)
    torch.testing.assert_close(score(x, SIGMA), -gradient, rtol=0, atol=1e-12)


def asymmetry(score: ConvScore, x: torch.Tensor) -> float:
    """``w . J v - v . J w`` relative to its terms, for two random probes."""
    v, w = torch.randn(2, *x.shape)
    along = [jvp(lambda x: score(x, SIGMA), (x,), (probe,))[1] for probe in (v, w)]
    difference = (w * along[0] - v * along[1]).sum()
    return (difference.abs() / (w * along[0]).norm()).item()


def test_only_the_conservative_score_has_a_symmetric_jacobian(conservative, x):
    assert asymmetry(conservative, x) < 1e-12
    assert asymmetry(small(), x) > 1e-3


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_conservative_score_works_without_autograd(conservative, x, mode):
    expected = conservative(x, SIGMA).detach()
    with mode():
        torch.testing.assert_close(conservative(x, SIGMA), expected, rtol=0, atol=0)


def test_forward_mode_equals_a_difference_also_for_many_tangents_at_once(conservative, x):
    v, h = torch.randn(2, *x.shape), 1e-5
    found = vmap(lambda v: jvp(lambda x: conservative(x, SIGMA), (x,), (v,))[1])(v)
    for tangent, along in zip(v, found, strict=True):
        ahead, behind = (conservative(x + s * h * tangent, SIGMA) for s in (1, -1))
        torch.testing.assert_close(along, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-7)


def test_the_pullback_is_the_transpose_of_the_jacobian(double):
    network, u = PeriodicUNet(2, width=4, depth=2), torch.randn(2, 2, 8, 12)
    tangent, cotangent = torch.randn(2, *u.shape)
    value, pullback = network.value_and_pullback(u, cotangent)
    expected, pushed = jvp(network, (u,), (tangent,))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close((pushed * cotangent).sum(), (tangent * pullback).sum())


def test_levels_may_differ_between_states(x):
    conservative = small(conservative=True, noise_std=0.7)
    levels = torch.tensor([0.1, 0.3, 1.0])
    each = [conservative(one[None], s.item()) for one, s in zip(x, levels, strict=True)]
    torch.testing.assert_close(conservative(x, levels), torch.cat(each), rtol=0, atol=1e-12)


# locality and symmetry


def test_the_score_is_local_and_periodic(double):
    score, x = small(depth=1), torch.randn(1, 2, 64, 64)
    tangent = torch.zeros_like(x)
    tangent[0, 0, 0, 0] = 1
    moved = jvp(lambda x: score(x, SIGMA), (x,), (tangent,))[1].abs().amax((0, 1))
    far = 20
    assert moved[far:-far].max() == 0
    assert moved[:, far:-far].max() == 0
    assert moved[-2, -2] > 0  # round the corner


def test_a_canvas_tiled_with_an_image_has_the_image_s_score_everywhere(double):
    score, x = small(), torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(score(x.tile(3, 2), SIGMA), score(x, SIGMA).tile(3, 2))


MOVES = {
    "roll": lambda x: x.roll(1, -1),
    "turn": lambda x: x.rot90(1, (-2, -1)),
    "mirror": lambda x: x.flip(-1),
}


def bias(score: ConvScore, x: torch.Tensor, move: str) -> float:
    """How far the score of a moved canvas is from the moved score, relative to it."""
    moved = MOVES[move](score(x, SIGMA))
    return float((score(MOVES[move](x), SIGMA) - moved).norm() / moved.norm())


@pytest.mark.parametrize("move", MOVES)
def test_frames_take_the_direction_bias_out(x, move):
    def with_frames(count):
        torch.manual_seed(1)
        return bias(small(symmetrise=count), x, move)

    assert with_frames(8) < 0.6 * with_frames(0)
    assert with_frames(128) < 1e-12


def test_every_frame_is_undone_and_all_differ(x):
    seen = []
    for frame in frames(128):
        torch.testing.assert_close(frame.back(frame.into(x)), x, rtol=0, atol=0)
        seen.append(tuple(frame.into(torch.arange(16.0).view(4, 4)).flatten().tolist()))
    assert len(set(seen)) == 128


# refusals


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (2, 8, 10)}, "found a canvas of 8 x 10; expected sides that are multiples of 4"),
        ({"shape": (3,)}, r"images of shape \(C, H, W\), found snapshots of shape \(3,\)"),
        ({"symmetrise": 129}, r"score\.symmetrise=129 found; expected 0 to 128"),
        ({"noise_std": -1.0}, r"score\.noise_std=-1"),
        ({"width": 0}, "width=0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        ConvScore(**{"shape": (2, 8, 8), **options})


def test_a_canvas_that_cannot_be_halved_twice_is_refused():
    with pytest.raises(InputError, match="a canvas of 8 x 6"):
        small()(torch.zeros(1, 2, 8, 6), SIGMA)


def model(**options) -> FlowModel:
    score = {"name": "conv", "width": 4, **options}
    return FlowModel((2, 8, 8), torch.zeros(1, 2, 8, 8), "minus_x", SIGMA, score=score)


def test_a_noise_that_the_score_was_not_trained_at_is_refused():
    with pytest.raises(InputError, match=r"flow\.sigma=0\.24 found beside .* level 0\.5"):
        model(noise_mean=-0.693)
    model(noise_mean=-0.693, noise_std=1.0)


@pytest.mark.parametrize("option", [{"ema": 1.0}, {"clip": 0.0}, {"crop": 6}, {"crop": 0}])
def test_training_options_that_cannot_be_are_refused(option):
    (name,) = option
    with pytest.raises(InputError, match=f"score.training.*{name}={option[name]}"):
        ImageScoreModule(small(), **option)


@pytest.mark.parametrize("conservative", [False, True])
def test_a_saved_score_is_the_same(conservative, tmp_path):
    one = model(conservative=conservative, symmetrise=2)
    one.save(tmp_path)
    x = torch.randn(2, 2, 12, 8)
    assert torch.equal(FlowModel.load(tmp_path).score(x, SIGMA), one.score(x, SIGMA))


# training


def gaussian_fields(n: int, side: int = 16) -> tuple[torch.Tensor, float]:
    """Unit-variance Gaussian fields of one length scale, and the least loss at ``SIGMA``.

    A mode of power ``P`` is best denoised linearly, by ``P / (P + sigma^2)``.
    """
    k2 = sum(f.square() for f in torch.meshgrid(*[torch.fft.fftfreq(side)] * 2, indexing="ij"))
    power = torch.exp(-200 * k2)
    power = power / power.mean()
    noise = torch.fft.fft2(torch.randn(n, 2, side, side))
    least = (power * (1 + SIGMA**2) / (power + SIGMA**2)).mean()
    return torch.fft.ifft2(noise * power.sqrt()).real, least.item()


@pytest.mark.parametrize("conservative", [False, True])
def test_the_trained_score_of_a_gaussian_field_comes_near_the_best_one(conservative):
    fields, least = gaussian_fields(300)
    flow = EquilibriumFlow(
        "minus_x",
        SIGMA,
        score={"name": "conv", "width": 16, "depth": 2, "conservative": conservative},
        score_training={"steps": 200, "learning_rate": 1e-2, "bf16": False},
        batch_size=8,
    ).fit(fields[:256])
    held = flow.model.standardiser.standard(fields[256:]).float()
    level = torch.zeros(len(held), 1)
    error = flow.model.score.denoising_error(held, torch.randn_like(held), level)
    assert least < error.mean() < 1.5 * least
    assert least < 0.2


def test_windows_are_turned_pieces_of_the_periodic_image():
    x = torch.arange(64.0).view(1, 1, 8, 8).expand(40, 1, 8, 8)
    for turned in (False, True):
        cut = windows(Batch(x, 40), 0, 3, side=4, turned=turned)
        assert cut.shape == (40, 1, 4, 4)
        across = {round(float(s)) % 8 for s in (cut[:, 0, 0, 1] - cut[:, 0, 0, 0])}
        assert across == ({0, 1, 7} if turned else {1})
        assert len({float(one) for one in cut[:, 0, 0, 0]}) > 20


def test_windows_of_two_processes_are_those_of_one(monkeypatch):
    x = torch.randn(7, 2, 8, 8)
    whole = windows(Batch(x, 7), 0, 5)
    parts = []
    for rank, mine in enumerate((slice(0, 3), slice(3, 7))):
        monkeypatch.setattr(distributed, "rank_and_world", lambda rank=rank: (rank, 2))
        parts.append(windows(Batch(x[mine], 7), 0, 5))
    assert torch.equal(torch.cat(parts), whole)


class Saved(Callback):
    """Saves every step as a run that is told to end there does."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_start(self, trainer, *_):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")

    def on_train_epoch_end(self, trainer, *_):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def fit(folder, start=None, **options) -> ImageScoreModule:
    torch.manual_seed(0)
    module = ImageScoreModule(small(), steps=8, crop=4, **options)
    trainer = quiet_trainer(8, accelerator="cpu", callbacks=[Saved(folder)])
    data = torch.randn(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    trainer.fit(module, train_loader(data, 6, 4, 0), val_loader(data, 8), ckpt_path=start)
    module.validated = trainer.callback_metrics.get("score/val_loss")
    return module


@pytest.mark.parametrize("step", [3, 4, 8], ids=["within an epoch", "after one", "at the end"])
def test_training_cut_short_goes_on_as_if_it_had_not_been(step, tmp_path):
    whole = fit(tmp_path).state_dict()
    resumed = fit(tmp_path, tmp_path / f"{step}.ckpt").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert torch.load(tmp_path / f"{step}.ckpt", weights_only=True)["stage"] == "score"


def test_validation_and_the_score_are_those_of_the_averaged_weights(tmp_path):
    module = fit(tmp_path, ema=0.9, learning_rate=0.1).eval()
    data = torch.randn(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))

    def loss():
        parts = zip(data.split(8), range(3), strict=True)
        return sum(len(x) * module.loss(Batch(x, len(x)), 2**31 + k) for x, k in parts).item() / 20

    assert loss() == pytest.approx(module.validated.item(), rel=1e-5)
    last = torch.load(tmp_path / "8.ckpt", weights_only=True)["current_model_state"]
    module.load_state_dict(last)
    assert loss() != pytest.approx(module.validated.item(), rel=1e-3)


def test_the_average_is_that_of_the_formula_from_the_initial_weights_on():
    module = LightningModule()
    module.weight = torch.nn.Parameter(torch.zeros(1))
    averaging = AveragedWeights(0.6, torch.device("cpu"))
    averaging.setup(None, module, "fit")
    mean = 0.0
    for step in range(1, 30):
        module.weight.data.fill_(step)
        averaging.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, 0)
        beta = min(0.6, step / (step + 9))
        mean = beta * mean + (1 - beta) * step
    averaging.on_train_end(None, module)
    assert module.weight.item() == pytest.approx(mean)


# the library's U-Net


@pytest.fixture
def unet(double):
    pytest.importorskip("diffusers")
    from eqflow.score.unet import UNetScore

    return UNetScore((2, 8, 8), width=8)


def test_the_library_s_unet_is_local_and_periodic(unet):
    x = torch.randn(1, 2, 96, 96)
    tangent = torch.zeros_like(x)
    tangent[0, 0, 0, 0] = 1
    moved = jvp(lambda x: unet(x, SIGMA), (x,), (tangent,))[1].abs().amax((0, 1))
    assert moved[36:-36].max() == 0
    assert moved[-2, -2] > 0
    tile = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(unet(tile.tile(3, 2), SIGMA), unet(tile, SIGMA).tile(3, 2))


def test_without_the_library_its_unet_is_refused_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    from eqflow.score.unet import UNetScore

    with pytest.raises(InputError, match=r"pip install -e '\.\[unet\]'"):
        UNetScore((2, 8, 8))


def test_the_library_is_not_loaded_before_it_is_used():
    code = "import sys, eqflow.score; sys.exit('diffusers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# runs


def images(folder) -> list[str]:
    """Options of the smallest run on images, 63 of them: batches are uneven."""
    torch.manual_seed(0)
    np.save(folder / "x.npy", torch.randn(90, 2, 8, 8).numpy())
    return [
        "data=snapshots",
        f"data.path={folder}/x.npy",
        "flow=skew",
        "flow.sigma=0.24",
        "score=conv",
        "score.width=4",
        "score.training.steps=10",
        "score.training.bf16=false",
        "batch_size=9",
        "epoch_steps=5",
        "threads=1",
        "beside=[]",
        "nulls=[]",
        "logger=none",
        "protocol={horizons: [1], starts: 8, splits: 4, transport: false}",
    ]


def test_a_score_is_trained_once_for_any_number_of_frames(tmp_path, monkeypatch):
    for count in (0, 2):
        folders = [f"run_dir={tmp_path}/{count}", f"cache_dir={tmp_path}/cache"]
        options = [*images(tmp_path), f"score.symmetrise={count}", "stages=[score]"]
        assert call(monkeypatch, *options, *folders) == 0
    (cached,) = (tmp_path / "cache" / "score").glob("*.ckpt")
    assert torch.load(cached, weights_only=True)["history"][-1]["score/val_loss"] > 0


@pytest.mark.slow
def test_one_process_and_two_train_the_same_score(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_spawn", forked)
    for name, trainer in (("one", "cpu"), ("two", "ddp_cpu")):
        folders = [f"run_dir={tmp_path}/{name}", f"cache_dir={tmp_path}/{name}_cache"]
        assert call(monkeypatch, *images(tmp_path), f"trainer={trainer}", *folders) == 0
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "score.ckpt", weights_only=True)
        for name in ("one", "two")
    )
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], value, rtol=1e-3, atol=1e-5)
    losses = [[row["score/val_loss"] for row in run["history"]] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert metrics(tmp_path / "two") == pytest.approx(metrics(tmp_path / "one"), rel=1e-3)
