"""Terms added to a loss, and decays of weights."""
