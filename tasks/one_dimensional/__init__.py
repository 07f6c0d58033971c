"""Functions of one variable with more than one minimum."""
