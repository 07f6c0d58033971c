"""Solvers of symmetric positive definite systems: classical, learned, and bounds."""
