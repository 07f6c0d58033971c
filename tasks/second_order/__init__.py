"""Minimisation with second derivatives, exact or approximate: how many evaluations a method needs to a given accuracy."""
