"""Diffusion models whose scores are known: how a score is learned from few samples, and how samples are steered."""
