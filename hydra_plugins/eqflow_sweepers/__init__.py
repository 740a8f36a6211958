"""Hydra sweepers: a grid that survives its failures, and a search with Optuna."""
