"""The pages of ``docs/`` and the README: sections that code cites, links, files they name."""

import re
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import eqflow
import eqflow.estimator
from eqflow.discovery import inference
from eqflow.discovery.simulated import Simulated

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = ("eqflow", "data_modules", "callbacks", "hydra_plugins", "conf", "docs")

TOPICS = {
    "data_modules/planar.py": "two peaks",
    "eqflow/discovery/bootstrap.py": "bootstrap",
    "eqflow/discovery/candidates.py": "stationarity test",
    "eqflow/discovery/elimination.py": "elimination",
    "eqflow/discovery/equations.py": "speed",
    "eqflow/discovery/findings.py": "verdict",
    "eqflow/discovery/gmm.py": "gmm",
    "eqflow/discovery/inference.py": "bootstrap",
    "eqflow/discovery/influence.py": "sampling errors",
    "eqflow/discovery/simulated.py": "verdict",
    "eqflow/discovery/initial.py": "initial fields",
    "eqflow/discovery/noise": "measurement noise",
    "eqflow/discovery/selection.py": "choice of the library",
    "eqflow/discovery/spectrum.py": "identifiability spectrum",
    "eqflow/discovery/subsets.py": "elimination",
    "eqflow/discovery/symmetries.py": "symmetries",
    "eqflow/estimator.py": "speed",
    "eqflow/evaluation/chaos.py": "lyapunov",
    "eqflow/evaluation/identifiability.py": "agreement",
    "eqflow/fields/base.py": "unit speed",
    "eqflow/fields/stream.py": "stream fields",
    "eqflow/metrics/growth.py": "lyapunov",
    "eqflow/metrics/lyapunov.py": "kaplan-yorke",
    "eqflow/metrics/preservation.py": "preservation",
    "eqflow/metrics/alignment.py": "agreement",
    "eqflow/metrics/ratios.py": "relative residual",
    "eqflow/score/empirical.py": "empirical",
    "eqflow/score/mlp.py": "conservative",
    "eqflow/simulate/base.py": "escaped",
    "eqflow/simulate/sde.py": "stochastic dynamics",
    "eqflow/stationarity/divergence.py": "divergence",
    "eqflow/stationarity/form.py": "weak form",
    "eqflow/stationarity/functions.py": "test functions",
    "eqflow/stationarity/hotelling.py": "stationarity test",
    "eqflow/stationarity/images": "test functions",
    "eqflow/stationarity/orientation.py": "direction of time",
    "eqflow/stationarity/residual.py": "residual",
    "eqflow/stationarity/weak.py": "weak form",
    "eqflow/training/weak.py": "weak form",
}
"""Path in the repository -> what the section that it cites has to be about.

A heading of the section, or words in bold that begin a paragraph of it, must hold the words.
"""


TINY = {"score": {"width": 8}, "field": {"width": 8}}
STEPS = {"score_training": {"steps": 5}, "flow_training": {"steps": 5}, "projection": {"steps": 5}}


@pytest.mark.parametrize("page", ["README.md", "docs/own-data.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """With networks of few units and steps, and another folder to load from."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.M | re.S)
    X = np.random.default_rng(0).normal(size=(300, 2)) @ [[1, 0.5], [0, 1]]
    small = {"network": TINY | STEPS, "library": {"field": {"degree": 1}}}
    made = []

    def flow(family="network", **options):
        made.append(eqflow.estimator.EquilibriumFlow(family, **small[family] | options))
        return made[-1]

    monkeypatch.setattr(eqflow, "EquilibriumFlow", flow, raising=False)
    monkeypatch.setattr(inference, "simulated", lambda *_: Simulated(0.0, 0.0, 1.0))
    monkeypatch.chdir(tmp_path)
    np.save("cells.npy", X)
    variables = {"X": X, "made": made}
    before, load, _ = code.partition('flow = eqflow.load("outputs')
    exec(before, variables)
    made[-1].save("run")
    if load:  # the folder of a run that is not here
        exec('flow = eqflow.load("run")', variables)
    np.testing.assert_array_equal(variables["flow"].velocity(X), made[-1].velocity(X))


def sections() -> dict[int, str]:
    """Number -> text of every section of the method."""
    parts = re.split(r"^## (\d+)\. ", (ROOT / "docs" / "method.md").read_text(), flags=re.M)
    return {int(n): text for n, text in zip(parts[1::2], parts[2::2], strict=True)}


def headings(section: str) -> str:
    """Its title, the headings within and the words in bold that begin paragraphs, lower case."""
    title, rest = section.split("\n", 1)
    inner = re.findall(r"^### (.*)|^\*\*(.*?)\*\*", rest, flags=re.M)
    return "\n".join([title, *chain.from_iterable(inner)]).lower()


def citations(path: Path) -> list[int]:
    """Numbers of the sections of the method that a file refers to."""
    text = re.sub(r"\s*\n[\s#]*", " ", path.read_text())
    numbers = re.findall(r"method sections? (\d+(?:(?:,| and|, and| to) \d+)*)", text, re.I)
    return [int(n) for found in numbers for n in re.findall(r"\d+", found)]


@cache
def citing() -> dict[str, list[int]]:
    """Path in the repository -> the sections it cites, of all files that cite any."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*")))
    texts = [path for path in files if path.suffix in (".py", ".yaml", ".md", ".j2")]
    found = {str(path.relative_to(ROOT)): citations(path) for path in texts}
    return {name: numbers for name, numbers in found.items() if numbers}


def test_sections_of_the_method_are_numbered_one_to_nine():
    assert list(sections()) == list(range(1, 10))


def test_every_section_that_is_cited_exists():
    cited = citing()
    assert len(cited) > 20
    known = sections().keys()
    assert {name: n for name, numbers in cited.items() for n in numbers if n not in known} == {}


@pytest.mark.parametrize("path", TOPICS)
def test_the_section_that_a_module_cites_is_about_its_topic(path):
    """A module that cites none still has its topic in the method."""
    assert (ROOT / path).exists()
    found = sections()
    cited = {n for name, numbers in citing().items() if name.startswith(path) for n in numbers}
    assert TOPICS[path] in "\n".join(headings(found[n]) for n in sorted(cited or found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    """Files, images and headings; addresses of other sites are not visited."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by, as GitHub makes it of their words."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())
    }
    assert [page.name for page in PAGES[1:] if page not in linked] == []


def test_every_image_is_shown_on_a_page():
    shown = "\n".join(page.read_text() for page in PAGES)
    images = [path.name for path in (ROOT / "docs").glob("*.png")]
    assert [name for name in images if f"{name})" not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_that_a_page_names_exist(page):
    named = set(re.findall(r"\bbenchmarks/\w+\.py", page.read_text()))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
