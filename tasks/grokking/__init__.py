"""Grokking: generalisation long after the training data are fitted."""
