"""``scope``: a block that closes all that was opened inside it.

Purpose: nothing that a session has opened outlives the session, whatever way it ends.

Guarantees
- what is tracked inside (in the block's own task or thread, and in those that inherit its context) is
  closed when the block ends, the youngest first, each once, each within ``close_timeout`` seconds;
- one that refuses to close does not keep the others from being closed; all that refused are reported;
- a cancellation that comes meanwhile is raised after everything was closed, and interrupts no closing;
- what is closed or collected before the end leaves the scope at once.

States: open -> closing (the end of the block: nothing more is taken in) -> closed. What is tracked in
a context whose scope is no longer open belongs to the nearest one around it that is, or to the process.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

from holdfast._core import check
from holdfast.errors import Leaked
from holdfast.track._closing import Closer, close_async, close_blocking, closer_of
from holdfast.track._registry import Opened, Record

__all__ = ("Scope", "current_scope", "scope")

log = logging.getLogger("holdfast.track")

_current: ContextVar["Scope | None"] = ContextVar("holdfast_scope", default=None)

_NO_CLOSER: Final = "it has no close of its own"


def current_scope() -> "Scope | None":
    """Return the innermost scope around the caller that is still open, or None."""
    found = _current.get()
    while found is not None and not found.is_open:
        found = found.parent
    return found


class Scope:
    """What is returned by, and told at: see :func:`scope`. Used with ``with`` or ``async with``, once."""

    __slots__ = ("_close_timeout", "_lock", "_open", "_records", "_token", "name", "parent")

    def __init__(self, name: str, close_timeout: float) -> None:
        self.name = name
        self.parent: Scope | None = None
        self._close_timeout = close_timeout
        self._records: dict[int, Record] = {}
        self._lock = threading.Lock()
        self._open = False
        self._token: Token[Scope | None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is tracked now would be taken in."""
        return self._open

    @property
    def path(self) -> str:
        """Its name behind those of the scopes around it, as in ``server/session-17``."""
        return self.name if self.parent is None else f"{self.parent.path}/{self.name}"

    def __repr__(self) -> str:
        return f"<Scope {self.path!r}: {len(self._records)} open>"

    def opened(self) -> tuple[Opened, ...]:
        """Return what is open in it, the oldest first."""
        return tuple(
            record.told() for record in list(self._records.values()) if not record.closed()
        )

    # ------------------------------------------------------------ for the registry

    def take(self, record: Record) -> bool:
        """Take ``record`` in; False if the scope is not open."""
        with self._lock:
            if not self._open:
                return False
            record.keeper = self
            self._records[id(record)] = record
        if record.thing() is None:  # collected in between, when the scope did not know it yet
            self.forget(record)
        return True

    def forget(self, record: Record) -> None:
        """The ``record`` is gone; takes no lock, as the collector may run anywhere."""
        self._records.pop(id(record), None)

    # ------------------------------------------------------------ the block

    def _enter(self) -> None:
        if self._token is not None:
            msg = f"scope {self.name!r} was entered before; make a new one for each block"
            raise RuntimeError(msg)
        self.parent = current_scope()
        self._open = True
        self._token = _current.set(self)

    def _leave(self) -> list[Record]:
        """End the taking in; return what is to be closed, the youngest first."""
        if self._token is not None:
            with contextlib.suppress(ValueError):  # ends in another context, as generators may
                _current.reset(self._token)
        with self._lock:
            self._open = False
            records, self._records = list(self._records.values()), {}
        return records[::-1]

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        refused: list[str] = []
        interrupt: BaseException | None = None
        for record, closer in _closing(self._leave(), refused, awaitable=False):
            try:
                close_blocking(closer)
            except Exception as refusal:  # noqa: BLE001 - whatever it is, it is reported
                refused.append(_refusal(record, refusal))
            except BaseException as stop:  # noqa: BLE001 - Ctrl-C: raised when the rest is closed
                refused.append(_refusal(record, stop))
                interrupt = interrupt or stop
        self._report(refused, interrupt or error)
        if interrupt is not None:
            raise interrupt

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        records = self._leave()
        if not records:
            return
        refused: list[str] = []
        # A task of its own, so that neither a cancellation nor anyio's scopes, which cancel again
        # and again, break a closing off.
        closing = asyncio.get_running_loop().create_task(self._close_all(records, refused))
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.wait({closing})
            except asyncio.CancelledError as again:
                cancelled = cancelled or again
        if not closing.cancelled():
            closing.result()  # raises what is no Exception, a KeyboardInterrupt
        self._report(refused, cancelled or error)
        if cancelled is not None:
            raise cancelled

    async def _close_all(self, records: list[Record], refused: list[str]) -> None:
        for record, closer in _closing(records, refused, awaitable=True):
            try:
                async with asyncio.timeout(self._close_timeout):
                    await close_async(closer)
            except TimeoutError as late:
                why = str(late) or f"it took longer than {self._close_timeout:g} s"
                refused.append(f"{record.told()}: {why}")
            except Exception as refusal:  # noqa: BLE001 - whatever it is, it is reported
                refused.append(_refusal(record, refusal))
            except asyncio.CancelledError as stop:  # the loop is closing: every task is cancelled
                refused.append(_refusal(record, stop))

    def _report(self, refused: list[str], error: BaseException | None) -> None:
        """Raise what refused, or, where an error is on its way already, say it beside that one."""
        if not refused:
            return
        more = "" if len(refused) == 1 else f" and {len(refused) - 1} more"
        msg = (
            f"scope {self.path!r} has ended and {len(refused)} of what was opened in it could not be "
            f"closed: {refused[0]}{more}; close it inside the block, or see why its close refuses"
        )
        if error is None:
            raise Leaked(msg, held=tuple(refused))
        log.warning("%s", msg)
        error.add_note(msg)


def _closing(
    records: list[Record], refused: list[str], *, awaitable: bool
) -> Iterator[tuple[Record, Closer]]:
    """Each thing that is still open, with what closes it; its record is gone afterwards."""
    for record in records:
        thing = record.thing()
        if thing is None or record.closed():
            record.drop()
            continue
        closer = record.closer or closer_of(thing, awaitable=awaitable)
        if closer is None:
            refused.append(f"{record.told()}: {_NO_CLOSER}")
        else:
            yield record, closer
        record.drop()


def _refusal(record: Record, refusal: BaseException) -> str:
    said = str(refusal)
    return f"{record.told()}: {type(refusal).__name__}{': ' if said else ''}{said}"


def scope(name: str, *, close_timeout: float = 10.0) -> Scope:
    """Close, at the end of a block, all that was opened inside it, the youngest first.

    Taken in are what :func:`holdfast.track` is told of, what was borrowed from a ``ResourcePool`` and
    not given back, and the pools that were made in it; also by the tasks, pools and ``to_thread`` calls
    that inherit the block's context variables. (A bare ``threading.Thread`` inherits none before Python
    3.14.) Scopes can be nested.

    In an ``async with`` block things are closed by their ``aclose``, or their ``close``; what these
    return is awaited, in a task of its own that no cancellation breaks off. In a ``with`` block what can
    only be closed in a coroutine refuses. A closing that blocks is waited for.

    What refuses to close is reported when all the others are closed. If the block ends with an error of
    its own, that one is raised, with the report as a note and in the log (``holdfast.track``).

    Args:
        name: For reports, such as ``"session-17"``.
        close_timeout: Longest time that one thing may take to close in a coroutine, in seconds.

    Returns:
        What ``with`` and ``async with`` take, once. Costs two assignments when nothing is opened.

    Raises:
        Leaked: At the end of the block: something refused. ``held`` has a line for each.

    Example:
        >>> import io
        >>> from holdfast.track.tracked import track
        >>> with scope("session-17"):
        ...     notes = track(io.StringIO())
        >>> notes.closed
        True
    """
    longest = check.seconds("close_timeout", close_timeout)
    if longest is None:
        msg = (
            "close_timeout must be seconds: a closing that never ends would hold the block for ever"
        )
        raise TypeError(msg)
    return Scope(name, longest)
