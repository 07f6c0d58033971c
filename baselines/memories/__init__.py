"""Memories: what is kept of earlier tasks' samples, and how it is mixed into later batches."""
