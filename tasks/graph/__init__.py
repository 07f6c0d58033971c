"""How the weights of a graph network start: variances across depth, and what they are worth in training."""
