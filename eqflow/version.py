"""The package's version, part of what a cached score is found by."""

__version__ = "0.1.0"
