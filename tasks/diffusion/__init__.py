"""Diffusion models whose score is known in closed form: what is learned from them, and how they are steered."""
