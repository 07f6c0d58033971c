"""Ways to learn the weights of a linear student, and to choose among candidates."""
