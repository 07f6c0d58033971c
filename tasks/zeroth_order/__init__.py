"""Optimisation from function values: how good the estimates are, how long descent takes, how networks learn from them."""
