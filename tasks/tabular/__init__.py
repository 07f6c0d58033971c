"""Small tables: what networks of one hidden layer learn from a budget of hidden units."""
