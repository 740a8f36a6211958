"""Jobs of a sweep, and what is written when it ends."""
