"""Diffusion models small enough to know their scores: how a score is learned from few samples, and how one is sampled from."""
