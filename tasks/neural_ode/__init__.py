"""Differential equations whose right side is a network, and what makes them cheap to solve."""
