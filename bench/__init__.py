"""Sweepstakes: a benchmark harness and leaderboard for learning dynamics."""


def __getattr__(name: str) -> str:
    """`__version__` of the installed distribution. Written here, it would change every cell's key at each release."""
    if name == "__version__":
        from importlib.metadata import version

        return version("sweepstakes")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
