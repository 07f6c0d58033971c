"""Classical solvers of the `solver` slot, and persistence."""
