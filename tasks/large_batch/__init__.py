"""Large-batch training: what is lost with the batch size, and what brings it back."""
