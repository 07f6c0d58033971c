"""Methods of the minimisation tasks beyond gradient descent."""
