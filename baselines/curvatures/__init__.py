"""Approximate Hessians for the minimisation tasks."""
