"""Rules that learn from what a network's units did, without its exact gradient."""
