"""Figures and the HTML page of a run."""

from eqflow.report.page import write_report

__all__ = ["write_report"]
