"""Optimizers, and schedules of their rates, that are more than a name and its arguments."""
