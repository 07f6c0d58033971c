"""Elementwise functions of a hidden layer."""
