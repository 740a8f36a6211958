"""Hydra sweepers: a grid in which a failed job ends no other, and a search with Optuna."""
