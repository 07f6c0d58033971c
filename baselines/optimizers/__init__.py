"""Optimizers that are more than a name and its arguments."""
