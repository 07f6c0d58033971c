"""Partial differential equations: learn or compute a rollout from the first frames."""
