"""Tables of numbers in ``.csv`` files, below at most one line that names their columns."""

import csv
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eqflow.errors import InputError

ENCODING = "utf-8-sig"
"""UTF-8, with or without the mark that spreadsheets put first."""


class Table(NamedTuple):
    """Numbers, a row for each line, and the names of the columns where the file has them."""

    numbers: np.ndarray
    names: tuple[str, ...] | None


def read_table(path: Path, option: str) -> Table:
    """Table of a ``.csv``; lines that are empty or begin with ``#`` are passed over.

    Raises ``InputError``, beginning with ``option``, that names line and column of the first cell
    which is no finite number, and the first line of another length.
    """
    try:
        names = _names(path)
        skipped = int(names is not None)
        numbers = np.genfromtxt(
            path, delimiter=",", ndmin=2, skip_header=skipped, encoding=ENCODING
        )
        wrong = not np.isfinite(numbers).all() or (names and len(names) != numbers.shape[1])
        fault = _fault(path, names) if wrong else ""
    except UnicodeDecodeError as error:
        fault = f"{error.reason} at byte {error.start}, which is no UTF-8"
    except ValueError as error:
        fault = _fault(path, names) or f"{error}"
    if fault:
        raise InputError(
            f"{option}={path}: {fault}; expected a .csv file of finite numbers, "
            "below at most one line of names"
        )
    return Table(numbers, names)


def _names(path: Path) -> tuple[str, ...] | None:
    """Names in the first line, if a cell of it is no number; blank ones are named by place."""
    with path.open(encoding=ENCODING, newline="") as file:
        cells = next(csv.reader(file, skipinitialspace=True), [])
    if not cells or all(map(_is_number, cells)):
        return None
    cells[0] = cells[0].lstrip("# ")  # as numpy writes a heading
    printable = ("".join(c if c.isprintable() else " " for c in cell) for cell in cells)
    return tuple(" ".join(cell.split()) or f"x{k}" for k, cell in enumerate(printable, start=1))


def _fault(path: Path, names: tuple[str, ...] | None) -> str:
    """What is wrong with the first line that does not hold finite numbers, as many as others."""
    width = len(names) if names else 0
    with path.open(encoding=ENCODING) as file:
        for place, line in enumerate(file, start=1):
            cells = line.partition("#")[0].strip().split(",")
            if cells == [""] or (names and place == 1):
                continue
            width = width or len(cells)
            if len(cells) != width:
                return f"line {place} holds {len(cells)} columns, the first line {width}"
            for column, cell in enumerate(cells):
                if not (_is_number(cell) and isfinite(float(cell))):
                    name = f" ({names[column]})" if names else ""
                    return f"line {place}, column {column + 1}{name}, holds {cell.strip()!r}"
    return ""


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
