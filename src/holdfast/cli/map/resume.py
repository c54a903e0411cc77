"""What an earlier run has left in OUTPUT: read once, line by line, kept as 30 bytes a key."""

from dataclasses import dataclass, field

from holdfast.cli.map.key import digest, key_text, looks_like_line_key
from holdfast.cli.map.record import OldLine, parse_line
from holdfast.cli.map.table import KeyTable
from holdfast.cli.map.user_error import UserError

__all__ = ("Past", "read_past")

_FAILED, _DONE = 0, 1
# How every line of OUTPUT begins; a torn one may be any shorter.
_BEGINNING = b'{"index": '


@dataclass(slots=True)
class Past:
    """What an earlier run has settled.

    Attributes:
        done: Lines with a value.
        failed: Lines with an error of the function.
        unread: Lines of input that could not be read. They count as not settled: reading them
            again costs nothing, and they may have been mended.
        whole_bytes: Length of the whole lines.
        torn: What stands behind them: a line that was cut short, or nothing.
    """

    done: int = 0
    failed: int = 0
    unread: int = 0
    whole_bytes: int = 0
    torn: bytes = b""
    _failed_is_settled: bool = True
    _table: KeyTable = field(default_factory=KeyTable)

    def state(self, hashed: bytes) -> bool | None:
        """Whether the item with that digest was done; None if it is not settled."""
        found = self._table.get(hashed)
        if found == _DONE:
            return True
        return False if found == _FAILED and self._failed_is_settled else None

    @property
    def settled(self) -> int:
        """Lines whose items are not to be run again."""
        return self.done + (self.failed if self._failed_is_settled else 0)

    def add(self, line: OldLine) -> None:
        """Take one line of OUTPUT into account."""
        if line.unread:
            self.unread += 1
            return
        hashed = digest(key_text(line.key))
        if line.failed:
            self.failed += 1
            if self._table.get(hashed) is None:  # a line that says "done" outweighs one that failed
                self._table.put(hashed, _FAILED)
        else:
            self.done += 1
            self._table.put(hashed, _DONE)

    def forget_failed(self) -> None:
        """Say that the failed lines have been taken out of OUTPUT: they are to be run again."""
        self._failed_is_settled = False


def read_past(fd: int, name: str, *, keyed: bool) -> Past:
    """Read what earlier runs have written to the file ``fd``.

    Args:
        fd: A regular file, open for reading; its position does not matter and may change.
        name: Its name, for messages.
        keyed: Whether this run names its items by a field (``--key``).

    Raises:
        UserError: The file holds something that ``holdfast map`` does not write, or keys of the
            other kind, by which this run would find nothing again.
    """
    past = Past()
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        if not _may_be_ours(file.read(len(_BEGINNING))):
            raise UserError(_foreign(name, 1))
        file.seek(0)
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                past.torn = line
                if not _may_be_ours(line):
                    raise UserError(_foreign(name, number))
                break
            old = parse_line(line)
            if old is None:
                raise UserError(_foreign(name, number))
            _check_kind(old, name, number, keyed=keyed)
            past.add(old)
            past.whole_bytes += len(line)
    return past


def _may_be_ours(beginning: bytes) -> bool:
    beginning = beginning.rstrip(b"\x00")  # what a machine that lost its power leaves at the end
    return beginning.startswith(_BEGINNING) or _BEGINNING.startswith(beginning)


def _foreign(name: str, line: int) -> str:
    return (
        f"line {line} of {name} is not one that holdfast map wrote, so nothing can be "
        "resumed from it; name another OUTPUT"
    )


def _check_kind(old: OldLine, name: str, number: int, *, keyed: bool) -> None:
    if old.unread or keyed != looks_like_line_key(old.key):
        return
    this, that = ("with --key", "without") if keyed else ("without --key", "with one")
    msg = (
        f"line {number} of {name} was written by a run {that}, this one is {this}: "
        "it would find nothing again; give the same --key as before"
    )
    raise UserError(msg)
