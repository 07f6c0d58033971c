"""Equations imposed on a network's basis functions, softly or by least squares, whole or by experts."""
