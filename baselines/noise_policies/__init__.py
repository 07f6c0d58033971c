"""Searches for samples of high reward: policies over initial noise, fine-tuning of the denoiser, and gradients of the sampler."""
