"""Physics-informed networks: unsteady equations solved by training, without data."""
