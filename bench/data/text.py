"""Text files as tokens, one a character. Tiny Shakespeare (1.1 MB) is read from the data folder and never downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.contract import Unavailable

SHAKESPEARE = "tinyshakespeare.txt"
SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def read(path: Path) -> str:
    """The file's text. Unavailable, with the way to get it, if the file is missing or no UTF-8."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise Unavailable(
            f"{path} is not there. Put Tiny Shakespeare at that place, such as by `curl --create-dirs -o {path} "
            f"{SHAKESPEARE_URL}`, or name the folder that holds {path.name} in SWEEPSTAKES_DATA"
        ) from error
    except UnicodeDecodeError as error:
        raise Unavailable(f"{path} is no UTF-8 text: {error}") from error


def origin(text: str) -> str:
    """`official` if the text is Tiny Shakespeare to the byte, else `unverified`."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return "official" if digest == SHAKESPEARE_SHA256 else "unverified"


def characters(text: str) -> tuple[list[int], str]:
    """(token of every character, the alphabet in code-point order): token i is the i-th letter of the alphabet."""
    alphabet = "".join(sorted(set(text)))
    number = {letter: i for i, letter in enumerate(alphabet)}
    return [number[letter] for letter in text], alphabet
