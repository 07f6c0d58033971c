"""Surrogates: modules that predict the next frame of a field from the frames before."""
