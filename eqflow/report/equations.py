"""A library field in words: its equations and how far the data decide them."""

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import torch

from eqflow.discovery import ACCEPTANCE_LEVEL, Coefficient, Equations, Findings
from eqflow.evaluation import ComparedField
from eqflow.fields import Library
from eqflow.report.style import chance, number, percent


class Law:
    """What a page says of an entry that has findings."""

    def __init__(self, entry: ComparedField, findings: Findings) -> None:
        self.entry, self.findings = entry, findings

    @cached_property
    def equations(self) -> Equations:
        """In raw units, with 95 % intervals, in the unit of time people write them in."""
        field, found = cast(Library, self.entry.field), self.findings
        bounds = torch.tensor(found.low).double(), torch.tensor(found.high).double()
        names, xi = field.variables, field.coefficients.detach().cpu()
        return Equations(field.terms, xi, names, bounds, found.note).readable()

    @property
    def size(self) -> int:
        """Number of terms, each counted once for every equation it is in."""
        return int(self.equations.coefficients.count_nonzero())

    @property
    def verdict(self) -> str:
        """One sentence: recovered, or why not."""
        found, size = self.findings, f"{self.size} terms of degree {self.findings.degree}"
        test = f"p-value {chance(found.p_value)}, effect size {number(found.effect_size)}"
        if not found.reason:
            return (
                f"A law with {size} was recovered: held-out snapshots are compatible with it "
                f"({test}), {self._alone}, and 95 % of the "
                f"bootstrap's fields reach a cosine of {number(found.direction)} to it."
            )
        if found.p_value < ACCEPTANCE_LEVEL:
            return (
                f"No law was recovered: {found.reason}; the closest, with {size}, is rejected on "
                f"held-out snapshots ({test}){self._not_stationary}."
            )
        return f"No single law was determined: {found.reason}. One with {size} is shown ({test})."

    @property
    def _alone(self) -> str:
        """What else keeps the distribution."""
        found = self.findings
        if found.symmetric:
            return f"it is a symmetry of the distribution, {found.moves}, which nothing else keeps"
        if found.apart:
            return f"only {found.moves} keep the distribution beside it, as symmetries must"
        return "no other field of its library keeps the distribution"

    @property
    def _not_stationary(self) -> str:
        """Where even the true field fails, the fault is with the snapshots."""
        fails = self.entry.numbers.get("truth/stationarity/p_value", 1) < ACCEPTANCE_LEVEL
        return ", as is the true velocity: the snapshots are not stationary" if fails else ""

    @property
    def facts(self) -> dict[str, str]:
        """What was measured of the law, by its heading."""
        found = self.findings
        tried = next(row for row in found.degrees if row["degree"] == found.degree)
        return {
            "held-out p-value": chance(found.p_value),
            "effect size": number(found.effect_size),
            "degree": f"{found.degree}",
            "terms": f"{self.size} of {tried['unknowns']:g}",
            "dimension of the solution space": f"{found.dimension}",
            **({"symmetries": ", ".join(found.symmetries)} if found.symmetries else {}),
            "gap": number(found.gap),
            "bootstrap direction": number(found.direction),
            "leave when simulated": percent(found.escaped),
            "sign": "determined" if found.oriented else "undetermined",
            **({"measurement noise": self._noise} if found.noise_std else {}),
        }

    @property
    def _noise(self) -> str:
        """Its size, given or estimated, and what the fit would be without the correction."""
        found, known = self.findings, "given"
        if found.noise_low < found.noise_high:
            known = f"estimated, {percent(found.noise_low)} to {percent(found.noise_high)}"
        return (
            f"{percent(found.noise_std)} of each feature's std ({known}), corrected for; a fit "
            f"without the correction has |cos| {number(found.blurred)} to this one"
        )

    @property
    def coefficients(self) -> tuple[list[str], list[tuple[str, list[Coefficient | None]]]]:
        """Names of the equations, and for each term its coefficient in each of them."""
        rows, law = self.equations.rows(), self.equations
        found = {(row.term, row.equation): row for row in rows}
        headings = [f"d{variable}/dt" for variable in law.variables]
        kept = {row.term for row in rows}
        terms = [term for term in law.terms.names(law.variables) if term in kept]
        return headings, [(term, [found.get((term, h)) for h in headings]) for term in terms]


def laws(run: Sequence[ComparedField]) -> list[Law]:
    """The laws of a run, its own or beside it."""
    return [Law(entry, entry.findings) for entry in run if entry.findings]
