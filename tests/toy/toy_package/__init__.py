"""A tiny package with one task and a few entries: what a stranger would install."""
