"""Sweepstakes: a benchmark harness and leaderboard for learning dynamics."""

__version__ = "0.1.0"
