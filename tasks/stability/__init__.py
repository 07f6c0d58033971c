"""Dynamical stability: which minima SGD and gradient descent can stay at, and how well those generalise."""
