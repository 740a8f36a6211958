"""What a run prints: text that fits any terminal, and lines on progress."""

import io
import logging

import pytest
import torch

from callbacks import Progress
from eqflow.cli.logs import Console
from eqflow.data import split
from eqflow.evaluation import ComparedField, Protocol, Reference
from eqflow.fields import build_field
from eqflow.report.terminal import judged, summary
from eqflow.runtime import progress
from eqflow.runtime.progress import Clock, doing, tell
from eqflow.score import EmpiricalScore, MLPScore
from eqflow.training import ScoreModule, quiet_trainer, train_loader

MEASURES = {
    "preservation/mmd2_ratio_h1": 0.31,
    "preservation/mmd2_ratio_h10": -1.13,
    "preservation/mmd2_ratio_h100": 0.84,
    "residual/relative": 0.0171,
    "truth/cos": 0.9999998,
    "chaos/lyapunov_max": 0.121,
    "truth/chaos/lyapunov_max": 0.115,
    "stationarity/p_value": 0.0,
}


@pytest.fixture
def run():
    reference = Reference(split(torch.randn(60, 3), 5, 10), 0.0, Protocol())
    field = build_field("minus_x", (3,), EmpiricalScore(torch.randn(9, 3)), 0.2)
    own = ComparedField("own", "network", field, reference, numbers=MEASURES)
    null = {"preservation/mmd2_ratio_h10": 123.4}
    return [own, ComparedField("null", "minus_x", field, reference, numbers=null)]


@pytest.mark.parametrize("width", [80, 60, 40, 25])
def test_the_table_fits_the_terminal_and_keeps_what_matters(run, width):
    text = summary(run, width)
    assert max(map(len, text.splitlines())) <= width
    assert max(map(len, judged(run, width).splitlines())) <= width
    heading, row, null, *_ = text.splitlines()
    assert "at 10" in heading
    assert "-1.13" in row  # a hyphen, which can be copied
    assert "123" in null
    if width == 80:
        assert row.split() == ["network", "0.31", "-1.13", *["0.84", "0.0171", "0.9999998"],
                               "0.121", "<0.0001"]  # fmt: skip
        assert text.splitlines()[3].split() == ["true", "system", *"-----", "0.115", "-"]


UNICODE = "MMD² of \N{MINUS SIGN}x, \N{GREEK SMALL LETTER SIGMA} = 0.2"


def line(name="eqflow", text=UNICODE):
    return logging.LogRecord(name, logging.INFO, "", 0, text, None, None)


def written(console, *records):
    for record in records:
        console.handle(record)
    return console.stream.getvalue()


class Terminal(io.StringIO):
    encoding = "ascii"

    def isatty(self):
        return True


def test_an_output_without_unicode_gets_ascii():
    assert written(Console(Terminal()), line()) == "MMD^2 of -x, sigma = 0.2\n"
    assert written(Console(io.StringIO()), line()) == UNICODE + "\n"


@pytest.mark.parametrize(
    ("stream", "job", "shown"),
    [
        (io.StringIO, None, ["", "training", "progress", "summary"]),
        (Terminal, None, ["", "progress", "summary"]),  # a bar shows the training
        (io.StringIO, 3, [""]),
    ],
)
def test_each_output_shows_its_part_of_the_lines(stream, job, shown):
    names = ["", "training", "progress", "summary", "choices"]
    records = [line(f"eqflow.{name}".rstrip("."), f"<{name}>") for name in names]
    begun = "" if job is None else f"job {job}: "
    expected = [f"{begun}<{name}>" for name in shown]
    assert written(Console(stream(), job), *records).splitlines() == expected


@pytest.fixture
def now(monkeypatch):
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_progress_is_told_every_ten_seconds_with_what_it_is_part_of(now, caplog):
    caplog.set_level(logging.INFO, "eqflow.progress")
    tell("not part of anything")
    with doing("flow"), doing("elimination"):
        for _ in range(25):
            now[0] += 1
            tell("%d terms", 7)
    assert caplog.messages == [
        "flow: elimination: 7 terms (10 s so far)",
        "flow: elimination: 7 terms (20 s so far)",
    ]


def test_a_clock_strikes_less_often_later_and_knows_the_time_left(now):
    clock, strikes = Clock(first=3.0), []
    for _ in range(1000):
        now[0] += 1
        if clock.strikes():
            strikes.append(now[0] - 100)
    assert strikes[:3] == [3, 13, 23]
    assert strikes[-1] - strikes[-2] > 80
    assert clock.left(250, 1000) == "about 50 min 0 s left"


def test_training_tells_step_loss_and_time_left(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "eqflow.training")
    monkeypatch.setattr("callbacks.progress.FIRST_LINE", 0.0)
    module = ScoreModule(MLPScore((2,), width=8), steps=6)
    trainer = quiet_trainer(6, progress=True, callbacks=[Progress()], log_every_n_steps=1)
    trainer.fit(module, train_loader(torch.randn(20, 2), 4, 3, 0))
    (told,) = caplog.messages
    assert told.startswith("score: step 1 of 6, loss ")
    assert told.endswith(" s left")
