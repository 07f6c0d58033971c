"""Optimizers that are more than a configuration."""
