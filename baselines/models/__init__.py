"""Models that are not part of a task."""
