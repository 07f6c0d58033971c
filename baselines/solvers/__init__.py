"""Classical solvers of the `solver` slot, and the trivial one."""
