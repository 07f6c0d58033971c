"""Rules for how initial weights, rates and multipliers change with the size of a model."""
