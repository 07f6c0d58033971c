"""What stands between weights and activations."""
