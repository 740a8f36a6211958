"""Two processes find the equations that one finds, of vectors and images, also after a cut."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from runs import LIBRARY, call, coefficients, forked

from eqflow.cli.processes import launch
from eqflow.data import Standardiser
from eqflow.discovery import Discovery
from eqflow.discovery.sample import ImageSample
from eqflow.fields import Library
from eqflow.training import LibraryModule, batches, library, val_loader

PATTERNS = [option for option in LIBRARY if not option.startswith(("experiment", "data"))]
PATTERNS += ["data=gray_scott", "data.preset=gamma", "data.grid=16", "data.settle=100"]
PATTERNS += ["data.val=4", "data.test=20", "integrator=stable"]


@pytest.fixture
def small(monkeypatch):
    """Passes of many batches over few states; of images, few are kept."""
    monkeypatch.setattr(library, "BATCHES_PER_WRITE", 2)
    monkeypatch.setattr(ImageSample, "reservoir", 24)

    def passes(size: int) -> None:
        monkeypatch.setattr(batches, "STATES_AT_ONCE", size)

    return passes


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ([*LIBRARY, "data.n=10001"], 500),  # 7001 to fit: the last batch leaves a process without
        ([*PATTERNS, "data.n=89"], 8),  # 65 to fit, likewise
    ],
    ids=["vectors", "images"],
)
def test_one_process_and_two_find_the_same_equations(options, size, small, tmp_path, monkeypatch):
    small(size)
    monkeypatch.setattr(launch, "_spawn", forked)
    for name, trainer in (("one", "cpu"), ("two", "ddp_cpu")):
        folder = [f"run_dir={tmp_path}/{name}", f"cache_dir={tmp_path}/cache"]
        stages = ["stages=[score,flow]", f"trainer={trainer}"]
        assert call(monkeypatch, *options, *stages, *folder) == 0
    alone, shared = tmp_path / "one", tmp_path / "two"
    assert_same_equations(shared, alone)
    # as if both had been killed after they wrote their sums
    (shared / "checkpoints" / "flow.ckpt").unlink()
    assert call(monkeypatch, f"run_dir={shared}", "resume=true") == 0
    assert_same_equations(shared, alone)


def assert_same_equations(shared: Path, alone: Path) -> None:
    torch.testing.assert_close(coefficients(shared), coefficients(alone), rtol=1e-9, atol=0)
    actual, expected = (
        torch.load(folder / "checkpoints" / "flow.ckpt", weights_only=True)["findings"]
        for folder in (shared, alone)
    )
    for name in ("p_value", "effect_size", "gap", "low", "high"):
        torch.testing.assert_close(
            torch.tensor(actual[name]), torch.tensor(expected[name]), rtol=1e-6, atol=1e-9
        )


def test_images_that_are_not_kept_are_in_the_sums(small, tmp_path):
    small(8)
    z = torch.randn(89, 2, 8, 8)
    units = Standardiser(torch.zeros(2, 1, 1), torch.ones(2, 1, 1))
    discovery = Discovery(Library((2, 8, 8), 2), z, units, functions=20)
    assert (len(discovery.sample), discovery.fitted, discovery.sampled) == (24, 65, False)
    module = LibraryModule(discovery, tmp_path / "last.ckpt")
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.test(module, val_loader(z[:65], 8), verbose=False)
    for actual, expected in zip(module.total, discovery.sums(z[:65]), strict=True):
        torch.testing.assert_close(torch.as_tensor(actual), torch.as_tensor(expected))


def test_images_that_are_all_kept_need_no_pass():
    units = Standardiser(torch.zeros(2, 1, 1), torch.ones(2, 1, 1))
    assert Discovery(Library((2, 8, 8), 1), torch.randn(89, 2, 8, 8), units).sampled
