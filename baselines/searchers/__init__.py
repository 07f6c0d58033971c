"""Methods that make their own steps from function values: evolution strategies and MeZO."""
