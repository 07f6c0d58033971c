"""Sweepstakes: a benchmark harness and leaderboard for learning dynamics."""


def __getattr__(name: str) -> str:
    """`__version__`, as installed. It is not written here, since what stands here is part of every cell's key."""
    if name == "__version__":
        from importlib.metadata import version

        return version("sweepstakes")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
