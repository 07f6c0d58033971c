"""Where reference data come from: one module an equation, float64, batched over samples, nothing about learning."""
