"""Attention scores."""
