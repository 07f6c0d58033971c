"""Deep linear networks: learning dynamics that can be solved on paper (Saxe, McClelland, Ganguli 2013)."""
