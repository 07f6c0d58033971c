"""Networks of one hidden layer for small tables: trained stage by stage, or as a whole."""
