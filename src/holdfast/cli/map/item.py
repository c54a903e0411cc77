"""One line of the input on its way through a run."""

from typing import Any

__all__ = ("Item",)


class Item:
    """A line with its identity, and what the calls have left on it so far.

    Attributes:
        index: Place among the items of the input, from 0; blank lines don't count.
        line: Number of the line in the input, from 1; blank lines count.
        key: The item's name in OUTPUT, as JSON text.
        value: What the function is called with.
        bad: Why the line can't be read, or None; such an item is never run.
        attempts: Calls begun so far.
        began: When the first call began, on the monotonic clock.
        ended: When the last call that returned did so.
        finished: Whether a call has returned; ``result`` then holds its value.
        result: What that call returned.
        claim: With ``--idempotent``: the right to say what came of it.
    """

    __slots__ = (
        "attempts", "bad", "began", "claim", "ended", "finished", "index", "key", "line", "result", "value",
    )  # fmt: skip

    def __init__(self, index: int, line: int, key: str, value: Any, bad: str | None = None) -> None:
        self.index = index
        self.line = line
        self.key = key
        self.value = value
        self.bad = bad
        self.attempts = 0
        self.began = 0.0
        self.ended = 0.0
        self.finished = False
        self.result: Any = None
        self.claim: object = None

    def __repr__(self) -> str:
        return f"<Item {self.index} (line {self.line}), key {self.key}>"
