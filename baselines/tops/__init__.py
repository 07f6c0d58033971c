"""Top layers that are solved, not trained."""
