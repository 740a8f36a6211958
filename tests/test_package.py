"""What is installed, and what importing costs."""

import inspect
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from runs import call

import eqflow
from eqflow import __version__

ROOT = Path(__file__).parents[1]
SWEEPERS = {
    "hydra_plugins.eqflow_sweepers.grid.GridSweeper",
    "hydra_plugins.eqflow_sweepers.search.OptunaSweeper",
}
HEAVY = ("torch", "pytorch_lightning", "wandb", "ot", "torchmetrics", "matplotlib")


def run(*arguments: str, **options) -> str:
    """Standard output of a Python process that must succeed."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def test_the_command_line_loads_nothing_heavy_before_it_runs():
    code = "import sys, eqflow.cli, eqflow.cli.checks; print(*sys.modules)"
    loaded = set(run("-c", code, cwd=ROOT).split())
    assert not loaded & set(HEAVY)


def test_the_package_lists_what_it_offers_in_readable_types():
    assert dir(eqflow) == eqflow.__all__
    for name in ("fit", "velocity", "score", "simulate", "plot"):
        text = str(inspect.signature(getattr(eqflow.EquilibriumFlow, name)))
        assert len(text) < 140, text
        assert "Array" in text


def test_the_citation_names_this_version():
    assert OmegaConf.load(ROOT / "CITATION.cff").version == __version__


@pytest.mark.slow
def test_the_wheel_holds_the_packages_the_configuration_and_the_command(tmp_path):
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path)]
    run("-m", "pip", "wheel", str(ROOT), *options)
    (wheel,) = tmp_path.glob("eqflow-*.whl")
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    shipped = {str(p.relative_to(ROOT / "conf")) for p in (ROOT / "conf").rglob("*.yaml")}
    packed = {str(p.relative_to(target / "eqflow/conf")) for p in target.rglob("*.yaml")}
    assert packed == shipped
    assert (target / "eqflow/py.typed").is_file()
    packages = ("callbacks", "data_modules", "eqflow", "hydra_plugins")
    modules = {str(p.relative_to(ROOT)) for name in packages for p in (ROOT / name).rglob("*.py")}
    assert {str(p.relative_to(target)) for p in target.rglob("*.py")} == modules
    (entry,) = target.glob("*.dist-info/entry_points.txt")
    assert "eqflow = eqflow.cli:main" in entry.read_text()
    printed = run("-m", "eqflow", "--cfg", "job", cwd=tmp_path, env={"PYTHONPATH": str(target)})
    assert "experiment" not in printed
    assert "_target_: data_modules.Lorenz" in printed


def test_hydra_finds_the_sweepers_where_an_install_hides_their_folder(tmp_path):
    """As an editable one does: it lists no folders of the namespace ``hydra_plugins``."""
    code = f"""
import hydra_plugins.eqflow_sweepers.grid, hydra_plugins.eqflow_sweepers.search, sys
hydra_plugins.__path__ = []
from hydra.core.plugins import Plugins
sweepers, found = {SWEEPERS}, Plugins.instance().class_name_to_class
assert not sweepers & found.keys()
sys.argv = ["eqflow", "--cfg", "job"]
from eqflow.cli import main
main()
assert sweepers <= found.keys()
"""
    run("-c", code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"eqflow {__version__}\n"
