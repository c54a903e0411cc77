"""Numbers and words out of the kernel's texts; what is not there, or is no number, is None or empty."""

from collections.abc import Sequence

__all__ = ("hexadecimal", "nth", "number", "whole")

# No figure of a kernel is longer, and Python refuses to convert numbers of thousands of digits.
_MOST_DIGITS = 30


def nth(words: Sequence[str], place: int) -> str:
    """Return the word at ``place``, from 0; empty if there are not so many."""
    return words[place] if place < len(words) else ""


def whole(word: str) -> int | None:
    """Return a word of ASCII digits, with or without a minus, as a number; else None."""
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > _MOST_DIGITS:
        return None
    return int(word)


def number(text: str | None) -> int | None:
    """Return the whole number that ``text`` begins with; None for none, for "max", for None."""
    return whole(nth(text.split(maxsplit=1), 0)) if text else None


def hexadecimal(word: str) -> int | None:
    """Return a word of hexadecimal digits as a number; else None."""
    if not word.isalnum() or len(word) > _MOST_DIGITS:
        return None
    try:
        return int(word, 16)
    except ValueError:
        return None
