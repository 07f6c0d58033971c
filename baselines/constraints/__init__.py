"""Ways to impose an equation on basis functions (slot `physics_constraint` of `constraints/*`)."""
