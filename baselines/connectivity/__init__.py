"""Initial weights by the structure of their connections."""
