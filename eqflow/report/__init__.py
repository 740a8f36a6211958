"""Figures and the HTML page of a run."""

from eqflow.report.display import Display
from eqflow.report.page import StageRecord, write_report

__all__ = ["Display", "StageRecord", "write_report"]
