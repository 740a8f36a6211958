"""Figures and the HTML page of a run."""

from eqflow.report.display import Display
from eqflow.report.page import write_report

__all__ = ["Display", "write_report"]
