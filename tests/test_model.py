import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from eqflow.data import Standardiser
from eqflow.errors import InputError
from eqflow.model import FlowModel
from eqflow.simulate import HeunSDE

CASES = {
    "network": {"family": "network", "field": {"width": 8, "fourier": 3}},
    "stream": {"family": "stream", "field": {"width": 8}},
    "plain network": {"family": "network", "field": {"width": 8}, "sigma": 0.3},
    "skew of a perceptron": {
        "family": "skew",
        "score": {"name": "mlp", "width": 8, "conservative": False},
    },
    "skew of the snapshots": {"family": "skew", "score": {"name": "empirical"}},
    "minus_x": {"family": "minus_x", "score": {"name": "empirical"}},
}


@pytest.fixture(params=CASES)
def model(request):
    points = torch.randn(40, 3)
    model = FlowModel((3,), points, seed=5, **CASES[request.param])
    model.standardiser = Standardiser(torch.tensor([1.0, 2, 3]), torch.tensor([0.1, 5, 2]))
    model.field.normalise_([points])
    return model.requires_grad_(False)


def run(model, x):
    draw = torch.Generator().manual_seed(0)
    noise = lambda step: torch.randn(x.shape, generator=draw)  # noqa: E731
    score = lambda x: model.score(x, model.sigma)  # noqa: E731
    return HeunSDE(0.05, 0.1)(model.field, x, torch.tensor([0.0, 1.0]), score, noise)


def test_a_field_may_have_a_seed_of_its_own(tmp_path):
    points = torch.randn(40, 3)
    plain, other = (
        FlowModel((3,), points, seed=seed, field={"width": 8}, ensemble=2) for seed in (5, 6)
    )
    mixed = FlowModel((3,), points, seed=5, field={"width": 8}, ensemble=2, field_seed=6)
    assert torch.equal(mixed.score(points, 0.2), plain.score(points, 0.2))
    assert torch.equal(mixed.field.at_common_states(points), other.field.at_common_states(points))
    assert not torch.equal(
        mixed.field.at_common_states(points), plain.field.at_common_states(points)
    )
    mixed.save(tmp_path)
    assert FlowModel.load(tmp_path).config == mixed.config


def test_names_of_features_are_saved_and_older_files_have_none(tmp_path):
    points, names = torch.randn(40, 2), ("temp", "flux (W/m^2)")
    FlowModel((2,), points, "library", names=names).save(tmp_path)
    assert FlowModel.load(tmp_path).field.variables == list(names)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("names") == list(names)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert FlowModel.load(tmp_path).field.variables == ["x", "y"]


def test_the_origin_of_a_library_is_saved_and_older_files_have_none(tmp_path):
    model, x = FlowModel((2,), torch.zeros(9, 2), "library", field={"degree": 2}), torch.randn(9, 2)
    model.field.take_units_(
        Standardiser(torch.tensor([1e8 + 3, 0], dtype=torch.double), torch.tensor([2.0, 1.0]))
    )
    model.field.coefficients.normal_()
    model.save(tmp_path)
    loaded, file = FlowModel.load(tmp_path), str(tmp_path / "model.safetensors")
    assert loaded.field.terms.names(["x", "y"])[1:3] == ["(x - 100000003)", "y"]
    assert torch.equal(loaded.field(x), model.field(x))
    save_file({k: v for k, v in load_file(file).items() if not k.endswith("origin")}, file)
    assert FlowModel.load(tmp_path).field.terms.names(["x", "y"])[1:3] == ["x", "y"]


def test_a_saved_flow_comes_back_the_same(model, tmp_path):
    model.save(tmp_path)
    torch.manual_seed(99)
    loaded, x = FlowModel.load(tmp_path), torch.randn(6, 3)
    assert torch.equal(loaded.field(x), model.field(x))
    assert torch.equal(loaded.score(x, 0.7), model.score(x, 0.7))
    assert torch.equal(loaded.standardiser.raw(x), model.standardiser.raw(x))
    assert torch.equal(run(loaded, x), run(model, x))
    assert (loaded.sigma, loaded.shape, loaded.config) == (model.sigma, model.shape, model.config)


def test_a_trained_weight_is_saved_and_not_drawn_again_from_the_seed(tmp_path):
    model, x = FlowModel((3,), torch.randn(9, 3), field={"width": 8}), torch.randn(4, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    model.save(tmp_path)
    assert torch.equal(FlowModel.load(tmp_path).field(x), model.field(x))
    assert torch.equal(FlowModel.load(tmp_path).score(x, 0.2), model.score(x, 0.2))


def test_the_loaded_field_moves_with_the_loaded_score(tmp_path):
    model = FlowModel((3,), torch.randn(9, 3), family="skew")
    model.save(tmp_path)
    loaded = FlowModel.load(tmp_path)
    assert loaded.field.score is loaded.score


def test_a_saved_flow_is_json_and_safetensors_and_nothing_else(model, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle was used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    model.save(tmp_path)
    FlowModel.load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    json.loads((tmp_path / "config.json").read_text())
    content = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert (
        max((t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"))
        == len(content) - 8 - length
    )


def test_saving_again_replaces_what_was_there(tmp_path):
    for seed in (0, 1):
        model = FlowModel((3,), torch.randn(9, 3), seed=seed, field={"width": 8})
        model.save(tmp_path)
    x = torch.randn(4, 3)
    assert torch.equal(FlowModel.load(tmp_path).field(x), model.field(x))


TAMPERED = {
    "unknown family": {"family": "netwrk"},
    "dotted family": {"family": "torch.nn.Linear"},
    "unknown score": {"score": {"name": "os.system"}},
    "target of hydra": {"field": {"_target_": "os.system"}},
    "unknown argument": {"extra": 1},
    "other format": {"format": 99},
    "other width": {"field": {"width": 9}},
    "other shape": {"shape": [4]},
    "negative shape": {"shape": [-3]},
    "shape of text": {"shape": "abc"},
    "sigma zero": {"sigma": 0},
    "sigma of text": {"sigma": "0.2"},
    "negative points": {"points": -1},
    "seed of text": {"seed": "x"},
}


@pytest.fixture
def saved(tmp_path):
    FlowModel((3,), torch.randn(9, 3), field={"width": 8}).save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("change", TAMPERED)
def test_a_tampered_configuration_is_refused(saved, change):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | TAMPERED[change]))
    with pytest.raises(InputError, match=str(saved)):
        FlowModel.load(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01.", b"[]", b'"text"', b"3"])
def test_a_missing_or_broken_file_is_refused(saved, name, content):
    (saved / name).unlink()
    if content is not None:
        (saved / name).write_bytes(content)
    with pytest.raises(InputError, match=str(saved)):
        FlowModel.load(saved)


@pytest.mark.parametrize("sigma", [0.0, -0.2, float("nan")])
def test_a_noise_level_that_is_not_positive_is_refused(sigma):
    with pytest.raises(InputError, match=r"flow\.sigma"):
        FlowModel((3,), torch.randn(9, 3), sigma=sigma)
