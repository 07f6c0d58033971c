"""Bilevel optimisation: an upper variable whose loss is measured at the solution of a lower problem that it sets."""
