"""Linear systems: solvers, learned and classical, are counted by the products with the matrix that a solve takes."""
