"""Data-parallel jobs: several processes on one machine or on many."""
