"""Batch regimes of Hoffer, Hubara and Soudry 2017."""
