"""Update rules of the stability tasks beyond plain SGD."""
