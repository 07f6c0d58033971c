"""Estimators of a gradient from function values and slopes, beyond the tasks' own two-point differences."""
