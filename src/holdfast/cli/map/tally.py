"""The count of what became of the items."""

from collections import Counter
from dataclasses import dataclass, field

__all__ = ("Tally",)

# A function that makes a new exception class for each item must not fill the memory.
MOST_KINDS = 100
MOST_LINES = 5
OTHER_KINDS = "(other)"


@dataclass(slots=True)
class Tally:
    """What has been written so far, and what never will be.

    Attributes:
        done: Items written with a value.
        failed: Items written with an error.
        recorded: Of those done, items whose value an earlier run had recorded.
        unfinished: Items whose call had begun when the run gave up on them; not written.
        not_started: Items that were pulled and never called; not written.
        attempts: Calls in all.
        errors: Failures by the type of the error; past ``MOST_KINDS`` types, together.
        unfinished_lines: Where the first ``MOST_LINES`` unfinished items stand in the input.
    """

    done: int = 0
    failed: int = 0
    recorded: int = 0
    unfinished: int = 0
    not_started: int = 0
    attempts: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    unfinished_lines: list[int] = field(default_factory=list[int])

    @property
    def written(self) -> int:
        """Lines written by this run."""
        return self.done + self.failed

    def add_unfinished(self, line: int) -> None:
        """Count one item that had begun and is given up; ``line`` is where it stands."""
        self.unfinished += 1
        if len(self.unfinished_lines) < MOST_LINES:
            self.unfinished_lines.append(line)

    def add_failure(self, kind: str) -> None:
        """Count one failed item under the type of its error."""
        self.failed += 1
        known = kind in self.errors or len(self.errors) < MOST_KINDS
        self.errors[kind if known else OTHER_KINDS] += 1
