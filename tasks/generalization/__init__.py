"""Generalisation dynamics: how the error on new data moves while a student learns from a noisy teacher."""
