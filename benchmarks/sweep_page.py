"""The page of a large sweep: seconds to write it, and for Chromium to open and to sort it.

    python benchmarks/sweep_page.py [--jobs N] [--repeats N] [--out FOLDER]

The sweep is made up: jobs of a search over words and numbers, most of them finished, some failed,
pruned or cut off; `--out` keeps it in a new folder. A browser is timed from its start to its end,
in turn with an empty page, and by its own clock until the page is laid out, and again after a click
on the metric's heading; the first cells must then come out in order.
"""

import json
import re
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import harness
import numpy as np

from eqflow.cli.sweeps.page import rebuild

METRIC = "residual/relative"
SHARES = {"finished": 0.85, "failed": 0.06, "pruned": 0.06, "running": 0.03}
NULLS = ("random", "random_skew", "random_linear", "score", "minus_x")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
ERRORS = ("RuntimeError: the loss is not finite at step 120", "InputError: seed=-1: expected >= 0")
CLICK = """<script>
  addEventListener("load", () => {
    document.body.offsetHeight;
    const name = "residual/relative", opened = performance.now();
    document.querySelector(`#jobs th[title="${name}"] button`).click();
    document.body.offsetHeight;
    const sorting = performance.now() - opened, at = heads.findIndex(head => head.title == name);
    const first = [...table.tBodies[0].rows].slice(0, 5).map(row => row.cells[at].dataset.value);
    document.title = JSON.stringify({ opened, sorting, first });
  });
</script>"""
"""Run in a copy of the page; asking for a height makes the browser lay the page out."""


def make(folder: Path, jobs: int) -> None:
    """Job folders as a search leaves them."""
    rng = np.random.default_rng(0)
    for number in range(jobs):
        flow, rate = rng.choice(["network", "skew", "library"]), 10 ** rng.uniform(-5, -1)
        width, sigma = rng.choice([32, 64, 128, 256]), rng.uniform(0.05, 0.5)
        place = folder / str(number)
        (place / ".hydra").mkdir(parents=True)
        given = {"experiment": "lorenz", "flow": flow, "flow.width": width, "seed": number % 3}
        given |= {"flow.sigma": f"{sigma:.4f}", "flow.lr": f"{rate:.3g}"}
        lines = [f"- {name}={value}\n" for name, value in given.items()]
        (place / ".hydra" / "overrides.yaml").write_text("".join(lines))
        (place / "run.log").touch()
        status = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        error = str(rng.choice(ERRORS)) if status == "failed" else ""
        state = {"status": status, "error": error, "started": "2025-01-01T00:00:00"}
        (place / "status.json").write_text(json.dumps(state | {"seconds": rng.uniform(20, 90)}))
        if status == "finished":
            worse = (1 + abs(np.log10(rate) + 3)) * (1 + (flow == "skew")) * rng.lognormal(0, 0.4)
            (place / "metrics.json").write_text(json.dumps(_measures(worse, rng)))
            (place / "report.html").touch()


def _measures(worse: float, rng: np.random.Generator) -> dict[str, float]:
    own = {METRIC: 0.05 * worse, "stationarity/effect_size": 0.02 * worse - 0.01}
    own |= {"preservation/mmd2_ratio": worse - 1, "truth/cos": 1 / (1 + worse)}
    nulls = {f"null/{n}/{name}": v * rng.uniform(2, 9) for n in NULLS for name, v in own.items()}
    nulls |= {f"null/{n}/truth/cos": rng.uniform(0, 0.1) for n in NULLS}
    return {**own, **nulls, **{f"other/{k}": float(k) for k in range(60)}}


def browse(page: Path) -> tuple[float, str]:
    """Seconds of a browser from its start to its end, and the document it ends with."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command = [BROWSER, *options, page.as_uri()]
    dump = partial(subprocess.check_output, command, stderr=subprocess.DEVNULL, text=True)
    dumped, seconds = harness.timed(dump, time.perf_counter)
    return seconds, dumped


def measure(folder: Path, repeats: int) -> None:
    """Open and sort the page in turn with an empty one, and print the medians."""
    page, empty = folder / "clicked.html", folder / "empty.html"
    page.write_text((folder / "report.html").read_text().replace("</body>", f"{CLICK}</body>"))
    empty.write_text("<!DOCTYPE html><title>empty</title>")
    rounds = [(browse(empty)[0], *browse(page)) for _ in range(repeats)]
    clocks = [json.loads(re.search("<title>({.*?})</title>", dumped)[1]) for *_, dumped in rounds]
    first = [float(value) for value in clocks[0]["first"]]
    if first != sorted(first):
        raise SystemExit(f"not sorted: {first}")
    print(f"browser, empty page    {median(r[0] for r in rounds):6.2f} s")
    print(f"browser, the sweep's   {median(r[1] for r in rounds):6.2f} s")
    print(f"open and laid out      {median(c['opened'] for c in clocks) / 1e3:6.2f} s")
    print(f"sorted after a click   {median(c['sorting'] for c in clocks) / 1e3:6.3f} s")


if __name__ == "__main__":
    asked = harness.options(__doc__, jobs=500, repeats=5, out=Path)
    with TemporaryDirectory() as temporary:
        folder = asked.out or Path(temporary)
        make(folder, asked.jobs)
        rebuild(folder)  # once before, for what is imported and found in caches
        seconds = harness.lap(partial(rebuild, folder))
        print(f"{asked.jobs} jobs, {(folder / 'report.html').stat().st_size / 1e6:.1f} MB")
        print(f"writing the page       {seconds:6.2f} s")
        if BROWSER:
            measure(folder, asked.repeats)
