"""Jobs of a sweep, trials of a search, and Hydra's hooks for its end."""
