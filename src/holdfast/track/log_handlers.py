"""Log handlers: one for each destination.

An agent that adds a ``FileHandler`` to a process-wide logger in its constructor opens one descriptor for
each agent, and writes each record once for each. Here such handlers are found, and refused.

Two handlers have one destination when they would write to the same place: the same file (by its real
path), the same stream, the same host and port, the same address of the system's log. Handlers whose
destination is not known (queues, memory, your own classes) are never taken for duplicates; neither are
two with different levels or filters, which write different records.
"""

import logging
import logging.handlers
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from holdfast.track._site import Site, caller

__all__ = (
    "DuplicateHandlers",
    "HandlerGuard",
    "add_log_handler",
    "duplicate_log_handlers",
    "guard_log_handlers",
)

log = logging.getLogger("holdfast.track")


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateHandlers:
    """A destination that more than one handler writes each record to.

    Attributes:
        destination: A path, or what else it is.
        count: How many handlers.
        loggers: The loggers that have them; ``"root"`` is the root.
    """

    destination: str
    count: int
    loggers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.count} handlers write each record to {self.destination} (loggers {', '.join(self.loggers)})"


def duplicate_log_handlers() -> tuple[DuplicateHandlers, ...]:
    """Find destinations to which several handlers write the same record.

    Looks at every logger together with those that its records propagate to. May be called from any
    thread, at any time; changes nothing.

    Returns:
        One record for each destination, the one with most handlers first.
    """
    handlers: dict[Destination, dict[int, str]] = {}
    loggers: dict[Destination, dict[str, None]] = {}
    for logger in _loggers():
        met: dict[Destination, list[tuple[logging.Handler, str]]] = {}
        for handler, owner in _reached(logger):
            place = _destination(handler)
            if place is not None:
                met.setdefault(place, []).append((handler, owner))
        for place, found in met.items():
            if len(found) > 1:
                handlers.setdefault(place, {}).update(
                    {id(handler): owner for handler, owner in found}
                )
                loggers.setdefault(place, {}).update({owner: None for _, owner in found})
    found_all = [
        DuplicateHandlers(destination=_told(place), count=len(found), loggers=tuple(loggers[place]))
        for place, found in handlers.items()
    ]
    return tuple(sorted(found_all, key=lambda one: -one.count))


def add_log_handler(logger: logging.Logger | str, handler: logging.Handler) -> logging.Handler:
    """Add ``handler`` to a logger, unless a handler that its records reach has the same destination.

    So it can be called in a constructor, any number of times. A handler that is not added is closed.

    Args:
        logger: The logger, or its name.
        handler: The handler.

    Returns:
        The handler that writes there: ``handler``, or the one that was there before.
    """
    target = logging.getLogger(logger) if isinstance(logger, str) else logger
    with _adding:
        known = _known(target, handler)
        if known is None:
            _add(target, handler)
            return handler
    if known is not handler:
        handler.close()
    return known


class HandlerGuard:
    """What :func:`guard_log_handlers` returns; ends by ``undo``, or at the end of a ``with`` block.

    Attributes:
        refused: How many handlers it has refused.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._told: set[Destination] = set()
        self._sites: weakref.WeakKeyDictionary[logging.Handler, Site] = weakref.WeakKeyDictionary()
        self._undo: Callable[[], None] | None = None

    def start(self) -> Self:
        """Put it in place."""
        guard, before = self, logging.Logger.addHandler

        def add_handler(self: logging.Logger, hdlr: logging.Handler) -> None:
            guard.add(self, hdlr)

        def undo() -> None:
            if logging.Logger.addHandler is add_handler:
                setattr(logging.Logger, _METHOD, before)

        setattr(logging.Logger, _METHOD, add_handler)
        self._undo = undo
        return self

    def undo(self) -> None:
        """Take it away again; may be repeated."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def add(self, logger: logging.Logger, handler: logging.Handler) -> None:
        """Add ``handler`` to ``logger``, or refuse it: close it, and say so once for each destination."""
        with _adding:
            known = _known(logger, handler)
            if known is None or known is handler:
                if known is None:
                    self._sites[handler] = caller()
                _add(logger, handler)
                return
        handler.close()
        self.refused += 1
        place = _destination(handler)
        if place is not None and place not in self._told:
            self._told.add(place)
            first = self._sites.get(known)
            log.warning(
                "a second log handler for %s was refused and closed, at %s; the first one was added %s; add "
                "handlers once, where the program starts, not in each object",
                _told(place),
                caller(),
                f"at {first}" if first is not None else "before",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.undo()


def guard_log_handlers() -> HandlerGuard:
    """Refuse, from now on, every log handler whose destination has one already.

    It puts itself in the place of ``logging.Logger.addHandler``, so it also holds for libraries. A
    handler that is refused is closed at once, so its descriptor is free; its records are written by the
    one that was there before. The first refusal for each destination is logged (``holdfast.track``) with
    the lines of both. Handlers that were added before stay: see :func:`duplicate_log_handlers`.

    Returns:
        The guard: ``guard.undo()`` takes it away, and so does the end of a ``with`` block.

    Example:
        >>> import logging, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "agent.log")
        >>> with guard_log_handlers() as guard:
        ...     for _ in range(3):
        ...         logging.getLogger("agents").addHandler(logging.FileHandler(path))
        >>> len(logging.getLogger("agents").handlers), guard.refused
        (1, 2)
        >>> logging.getLogger("agents").handlers.pop().close()
    """
    return HandlerGuard().start()


_METHOD: Final = "addHandler"

_adding: Final = threading.RLock()
_add: Final = logging.Logger.addHandler


def _known(logger: logging.Logger, handler: logging.Handler) -> logging.Handler | None:
    """The handler, among those that the logger's records reach, that writes to the same place."""
    place = _destination(handler)
    for other, _ in _reached(logger):
        if other is handler or (place is not None and _destination(other) == place):
            return other
    return None


def _loggers() -> list[logging.Logger]:
    named = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(one for one in named if isinstance(one, logging.Logger))]


def _reached(logger: logging.Logger) -> Iterator[tuple[logging.Handler, str]]:
    """The handlers that a record of this logger comes to, and whose each is."""
    at: logging.Logger | None = logger
    while at is not None:
        for handler in tuple(at.handlers):
            yield handler, at.name
        at = at.parent if at.propagate else None


Destination = tuple[tuple[str, ...], int, tuple[int, ...]]
"""The place that a handler writes to, its level, and its filters."""


def _destination(handler: logging.Handler) -> Destination | None:
    """Where it writes, with what it lets through; None where nobody knows."""
    place = _place(handler)
    return None if place is None else (place, handler.level, tuple(map(id, handler.filters)))


def _place(handler: logging.Handler) -> tuple[str, ...] | None:
    if isinstance(handler, logging.FileHandler):
        return ("file", os.path.realpath(handler.baseFilename))
    if isinstance(handler, logging.handlers.SocketHandler):
        return (type(handler).__name__, handler.host, str(handler.port))
    if isinstance(handler, logging.handlers.SysLogHandler):
        return ("syslog", str(handler.address), str(handler.facility))
    if isinstance(handler, logging.handlers.HTTPHandler):
        return ("http", handler.host, handler.url)
    if isinstance(handler, logging.StreamHandler):
        return ("stream", str(id(vars(handler).get("stream"))))
    return None


def _told(place: Destination) -> str:
    kind, *where = place[0]
    if kind == "file":
        return where[0]
    return "one stream" if kind == "stream" else f"{kind} {':'.join(where)}"
