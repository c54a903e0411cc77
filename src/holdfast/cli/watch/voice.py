"""How a watch is told: sentences, or a JSON record a line."""

import json
import os
from typing import Any, Final, Protocol, TextIO

from holdfast.cli.watch.summary import Summary, span
from holdfast.watch.process_watch import ProcessReading
from holdfast.watch.verdict import amount

__all__ = ("Records", "Sentences", "Voice", "status")

_EVERY: Final = 60.0
_CLEAR: Final = "\r\x1b[K"
_SHOWN: Final = ("descriptors", "threads", "memory")


class Voice(Protocol):
    """Who tells it."""

    def reading(self, second: float, reading: ProcessReading) -> None:
        """Tell one reading."""
        ...

    def report(self, summary: Summary, ended: str) -> None:
        """Tell the end."""
        ...


class Records:
    """Each reading, and the report, as one line of JSON."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def reading(self, second: float, reading: ProcessReading) -> None:
        """Write one reading."""
        self._write({"kind": "reading", "second": second} | reading.to_dict())

    def report(self, summary: Summary, ended: str) -> None:
        """Write the report."""
        self._write(summary.to_dict(ended))

    def _write(self, record: dict[str, Any]) -> None:
        self._out.write(f"{json.dumps(record, allow_nan=False)}\n")
        self._out.flush()


class Sentences:
    """What changes, a line of figures each minute, and the report.

    Args:
        out: Where to.
        live: Whether the figures stand in one line that is drawn again with each reading.
    """

    def __init__(self, out: TextIO, *, live: bool) -> None:
        self._out = out
        self._live = live
        self._said = float("-inf")

    def reading(self, second: float, reading: ProcessReading) -> None:
        """Tell what has changed, and now and then the figures."""
        if self._live:
            self._out.write(_CLEAR)
        for text in reading.changes:
            self._out.write(f"{span(second):>12}  {text}\n")
        if self._live:
            self._out.write(f"{span(second):>12}  {status(reading)}"[: _columns(self._out)])
        elif second - self._said >= _EVERY:
            self._said = second
            self._out.write(f"{span(second):>12}  {status(reading)}\n")
        self._out.flush()

    def report(self, summary: Summary, ended: str) -> None:
        """Tell the report."""
        start = _CLEAR if self._live else ""
        self._out.write(start + "\n".join(summary.lines(ended)) + "\n")
        self._out.flush()


def status(reading: ProcessReading) -> str:
    """Say the figures of one reading in a line."""
    held = {"descriptors": reading.fds, "threads": reading.threads, "memory": reading.rss_bytes}
    bounds = {each.name: each.bound for each in reading.bounds}
    told: list[str] = []
    for name in _SHOWN:
        value, bound = held[name], bounds[name]
        if value is not None:
            most = "" if bound is None else f" of {amount(name, bound)}"
            told.append(f"{name} {amount(name, value)}{most}")
    if reading.cpus is not None:
        told.append(f"{reading.cpus:.2f} CPUs")
    return ", ".join(told)


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns - 1
    except (OSError, ValueError):
        return 79
