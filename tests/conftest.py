"""Shapes and types that ``eqflow`` annotates are checked while its tests run."""

import os
import socket
from functools import partialmethod
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

from jaxtyping import install_import_hook

CHECKED = [
    f"eqflow.{path.stem}"
    for path in (Path(__file__).parents[1] / "eqflow").iterdir()
    if path.stem != "systems"  # steps of right-hand sides, by the ten thousand: their results are
]
install_import_hook(  # before eqflow is first imported
    CHECKED,
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Figures drawn fast, of few pixels and short trajectories, unless a test asks for others."""
    from eqflow.report import opening
    from eqflow.report.display import Display
    from eqflow.report.style import STYLE

    monkeypatch.setitem(STYLE, "savefig.dpi", 40)
    monkeypatch.setitem(STYLE, "savefig.bbox", None)  # "tight" draws every figure twice
    monkeypatch.setattr(opening, "FRAMES", 4)
    monkeypatch.setattr(opening, "TIME", 1.0)
    short = partialmethod(Display.__init__, orbit_time=5.0, sde_time=1.0)
    monkeypatch.setattr(Display, "__init__", short)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Folder of a run that nothing interrupts."""
    from runs import CURVED, call

    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        options = [*CURVED, "logger=none", f"run_dir={folder}/run", f"cache_dir={folder}/cache"]
        assert call(patch, *options) == 0
    return folder / "run"


@pytest.fixture
def double():
    """Float64 wherever the code does not say otherwise."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """A test that looks for another machine fails, also where the failure would be swallowed."""
    sought = []

    def guard(name: str) -> None:
        inner = getattr(socket.socket, name)

        def guarded(self, address, *rest):
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _here(address[0]):
                sought.append(address)
                raise ConnectionRefusedError(f"no network in tests: {address}")
            return inner(self, address, *rest)

        monkeypatch.setattr(socket.socket, name, guarded)

    guard("connect")
    guard("connect_ex")
    yield sought
    assert not sought, f"tried to reach {sought}"


def _here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
