"""Rich and lazy learning: how much a network changes while it learns, by the rank of its initial weights."""
