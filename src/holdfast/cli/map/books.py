"""What becomes of each item: a line in OUTPUT and a place in the count.

Guarantees: an item is counted in exactly one of done, failed, unfinished, not started; its line is
written before it is counted.
"""

from typing import Any

from holdfast._core.outcome import Outcome
from holdfast.cli.map.calls import NOT_STARTED
from holdfast.cli.map.item import Item
from holdfast.cli.map.journal import Found, JournalError, run_error
from holdfast.cli.map.record import BAD_INPUT, NotJSONError, error_line, value_line
from holdfast.cli.map.sink import Sink
from holdfast.cli.map.source import Source
from holdfast.cli.map.tally import Tally
from holdfast.cli.map.user_error import UserError
from holdfast.errors import CallTimeout
from holdfast.flow.idempotency import Record

__all__ = ("Books",)

NOT_JSON = "NotJSON"
UNFINISHED = "Unfinished"


class Books:
    """The books of one run.

    Args:
        source: Its ``taken`` are the items that are still open.
        sink: Takes the lines.
        timeout: Seconds per attempt, for messages.
        skip_unfinished: Whether an item that an earlier run had begun is left for a later one.

    Attributes:
        tally: The count so far.
        failure: Why OUTPUT could not be written any more, or None.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        *,
        timeout: float | None,
        skip_unfinished: bool = False,
    ) -> None:
        self.tally = Tally()
        self.failure: UserError | None = None
        self._source = source
        self._sink = sink
        self._timeout = timeout
        self._skip_unfinished = skip_unfinished

    def settle(self, outcome: Outcome[Any]) -> None:
        """Write what became of one item, and count it.

        Raises:
            UserError: Its line could not be written; the item stays open.
        """
        item: Item = outcome.item
        if outcome.value is NOT_STARTED:
            self._settle_unrun(item)
        elif isinstance(outcome.value, Found):
            self._settle_found(item, outcome.value.record)
        elif isinstance(outcome.value, JournalError):
            self.failure = run_error(outcome.value)
            raise self.failure
        elif outcome.error is not None:
            kind, message = type(outcome.error).__name__, self._message(outcome.error)
            self._fail(item, kind, message, outcome.attempts, outcome.seconds)
        else:
            self._succeed(item, outcome.value, outcome.attempts, outcome.seconds)
        # Only now: an item whose line could not be written stays on the books.
        del self._source.taken[item.index]
        self.tally.attempts += outcome.attempts if item.attempts else 0

    def close(self) -> None:
        """Write what has ended and waited for its turn; count the rest as it stands."""
        taken = self._source.taken
        for item in list(taken.values()):
            del taken[item.index]
            self.tally.attempts += item.attempts
            if not item.finished or not self._wrote_late(item):
                self._leave_out(item)

    def _settle_unrun(self, item: Item) -> None:
        if item.bad is None:
            self._leave_out(item)
            return
        message = f"line {item.line} of {self._source.intake.name} {item.bad}"
        self._fail(item, BAD_INPUT, message, 0, 0.0)

    def _settle_found(self, item: Item, record: Record) -> None:
        """An earlier run has begun it: write the value that it has left, or that it has left none."""
        if record.state == "done":
            self._succeed(item, record.value, 0, 0.0)
            self.tally.recorded += 1
        elif self._skip_unfinished:
            self.tally.add_unfinished(item.line)
        else:
            message = (
                f"it had begun {record.age_s:,.0f} s ago ({record.owner}) and left no outcome: look "
                "whether it had its effects; --retry-failed --on-unfinished repeat runs it again"
            )
            self._fail(item, UNFINISHED, message, record.attempt, 0.0)

    def _leave_out(self, item: Item) -> None:
        """Count an item that is not written, so that a later run does it."""
        if item.attempts:
            self.tally.add_unfinished(item.line)
        else:
            self.tally.not_started += 1

    def _wrote_late(self, item: Item) -> bool:
        if self.failure is not None:
            return False
        try:
            self._succeed(item, item.result, item.attempts, item.ended - item.began)
        except UserError:
            return False
        return True

    def _succeed(self, item: Item, value: Any, attempts: int, seconds: float) -> None:
        try:
            line = value_line(item, value, attempts, seconds)
        except NotJSONError as error:
            self._fail(item, NOT_JSON, str(error), attempts, seconds)
            return
        self._write(line)
        self.tally.done += 1

    def _fail(self, item: Item, kind: str, message: str, attempts: int, seconds: float) -> None:
        self._write(error_line(item, kind, message, attempts, seconds))
        self.tally.add_failure(kind)

    def _write(self, line: bytes) -> None:
        try:
            self._sink.write(line)
        except UserError as error:
            self.failure = error
            raise

    def _message(self, error: BaseException) -> str:
        # An error without a traceback was never raised: the stream made it. It counts the items of
        # this run, which after a resume are not those of the input.
        if isinstance(error, CallTimeout) and error.__traceback__ is None:
            rest = (
                "it was cancelled" if error.stopped else "its thread can't be stopped and runs on"
            )
            return f"ran longer than --timeout {self._timeout:g} s; {rest}"
        try:
            return str(error)
        except Exception as unprintable:  # noqa: BLE001 - the user's class may do anything in there
            return f"(its message could not be made: {type(unprintable).__name__})"
