"""Equations of a library field as the page of a run shows them, and how far they are determined."""

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import torch

from eqflow.discovery import ACCEPTANCE_LEVEL, Coefficient, Equations, Findings
from eqflow.evaluation import ComparedField
from eqflow.fields import Library
from eqflow.report.text import chance, number, percent, transit_times


class FittedEquations:
    """Equations of an compared that is a fitted library, with its findings."""

    def __init__(self, compared: ComparedField, findings: Findings) -> None:
        self.compared, self.findings = compared, findings

    @cached_property
    def equations(self) -> Equations:
        """Equations in raw units and transit times, with 95 % intervals."""
        field, findings = cast(Library, self.compared.field), self.findings
        bounds = torch.tensor(findings.low).double(), torch.tensor(findings.high).double()
        coefficients = field.coefficients.detach().cpu()
        return Equations(field.terms, coefficients, field.variables, bounds, findings.note)

    @property
    def size(self) -> int:
        """Number of terms, counted once for every equation they are in."""
        return int(self.equations.coefficients.count_nonzero())

    @property
    def lead(self) -> str:
        """Plain sentence that says whether the snapshots decide the equations."""
        if not self.findings.reason:
            return "The snapshots determine these dynamics, if a law of this library made them."
        if self.findings.p_value < ACCEPTANCE_LEVEL:
            return "No equations were found: held-out snapshots reject even the closest ones."
        return "The snapshots do not determine the dynamics."

    @property
    def many(self) -> bool:
        """Whether several fields keep the distribution, beside known symmetries."""
        findings = self.findings
        return bool(findings.reason) and findings.dimension > max(1, len(findings.symmetries))

    @property
    def verdict(self) -> str:
        """Sentence that says whether the equations are determined, or why not."""
        findings, size = self.findings, f"{self.size} terms of degree {self.findings.degree}"
        test = f"p-value {chance(findings.p_value)}, effect size {number(findings.effect_size)}"
        if not findings.reason:
            return (
                f"Equations with {size} are determined: held-out snapshots are compatible with "
                f"them ({test}), {self._alone}, 95 % of the bootstrap's fields reach a cosine of "
                f"{number(findings.direction)} to them, they contract, which a density at rest "
                f"excludes, and simulated for {transit_times(findings.time)} they keep the "
                f"distribution ({number(findings.drift)} times the noise floor)."
            )
        if findings.p_value < ACCEPTANCE_LEVEL:
            return (
                f"No equations were found: {findings.reason}; the closest, with {size}, are "
                f"rejected on held-out snapshots ({test}){self._not_stationary}."
            )
        return (
            f"The equations are not determined: {findings.reason}. "
            f"Those shown have {size} ({test})."
        )

    @property
    def _alone(self) -> str:
        findings = self.findings
        if findings.modulo_symmetries:
            symmetries = findings.symmetries_in_words
            return f"only {symmetries} keep the distribution beside them, as symmetries must"
        return "no other field of their library keeps the distribution"

    @property
    def _not_stationary(self) -> str:
        """Remark that the snapshots are at fault if the true velocity is rejected too."""
        fails = self.compared.numbers.get("truth/stationarity/p_value", 1) < ACCEPTANCE_LEVEL
        return ", as is the true velocity: the snapshots are not stationary" if fails else ""

    @property
    def facts(self) -> dict[str, str]:
        """Results of the fit, as text by heading."""
        findings = self.findings
        full = next(row for row in findings.degrees if row["degree"] == findings.degree)
        return {
            **{rung: against or "yes" for rung, against in findings.rungs.items()},
            "held-out p-value": chance(findings.p_value),
            "effect size": number(findings.effect_size),
            "degree": f"{findings.degree}",
            "terms": f"{self.size} of {full['unknowns']:g}",
            "dimension of the solution space": f"{findings.dimension}",
            **({"symmetries": ", ".join(findings.symmetries)} if findings.symmetries else {}),
            "gap": number(findings.gap),
            "bootstrap direction": number(findings.direction),
            "leave when simulated": percent(findings.escaped),
            "distance when simulated": f"{number(findings.drift)} times its noise floor",
            "sign": "determined" if findings.oriented else "undetermined",
            **({"measurement noise": self._noise} if findings.noise_std else {}),
        }

    @property
    def _noise(self) -> str:
        findings, source = self.findings, "given"
        if findings.noise_low < findings.noise_high:
            source = f"estimated, {percent(findings.noise_low)} to {percent(findings.noise_high)}"
        return (
            f"{percent(findings.noise_std)} of each feature's std ({source}), corrected for; a fit "
            f"without the correction has |cos| {number(findings.blurred)} to this one"
        )

    @property
    def coefficients(self) -> tuple[list[str], list[tuple[str, list[Coefficient | None]]]]:
        """Headings of the equations, and a row for each term with its coefficient in each."""
        rows, equations = self.equations.rows(), self.equations
        by_place = {(row.term, row.equation): row for row in rows}
        headings = equations.rates
        kept = {row.term for row in rows}
        terms = [term for term in equations.terms.names(equations.variables) if term in kept]
        return headings, [(term, [by_place.get((term, h)) for h in headings]) for term in terms]


def fitted_equations(run: Sequence[ComparedField]) -> list[FittedEquations]:
    """Equations of the fitted libraries of a run."""
    return [FittedEquations(compared, compared.findings) for compared in run if compared.findings]
