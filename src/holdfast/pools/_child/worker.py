"""One worker of a pool: reads a call, runs it, answers, until there is nobody to read from.

Purpose: the shortest way around a call. Guarantees: one call at a time; a call that was read is answered,
or the process ends; an answer is written whole before the next call is read. What a call prints is
flushed before its answer. Nothing of a call is kept after its answer.
"""

from __future__ import annotations

import os
import sys
from _io import TextIOWrapper
from _pickle import PicklingError, dumps, loads
from marshal import dumps as dump_plain, loads as load_plain

from holdfast.pools._child import wire
from holdfast.pools._child.arena import Arena
from holdfast.pools._child.names import Names

TYPE_CHECKING = False  # the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ("Setup", "serve")

_SNIFFED = frozenset({bytes, bytearray, str})


class Setup:
    """What a worker needs to know; filled in by the zygote."""

    __slots__ = ("initializer", "inline", "main", "modules", "needs_main")

    def __init__(self) -> None:
        self.modules: tuple[str, ...] = ()  # to be imported here, because they start threads
        self.main: tuple[str | None, str | None] = (None, None)
        self.initializer: bytes | None = None
        self.needs_main = False
        self.inline = 0


def serve(read_fd: int, write_fd: int, arena_fd: int, setup: Setup) -> None:  # noqa: C901, PLR0912, PLR0915 - the hot loop, in one piece
    """Live the life of a worker; returns when it is over."""
    if not _prepare(write_fd, setup):
        return
    arena = Arena(arena_fd)
    head_size, unpack, pack = wire.HEAD_SIZE, wire.HEAD.unpack_from, wire.HEAD.pack
    read, write = os.read, os.write
    needs_main, shift = wire.NEEDS_MAIN, wire.NAME_SHIFT
    call_plain, named, plain, version = (
        wire.CALL_PLAIN,
        wire.CALL_NAMED,
        wire.PLAIN,
        wire.PLAIN_VERSION,
    )
    names = Names()
    find = names.find
    flush_out, flush_err = _flushers()
    inline, slot = setup.inline, wire.SLOT
    main_ready = setup.needs_main
    _answer(write_fd, wire.READY, b"")
    fn: Any
    data: Any
    answer: Any
    while True:
        data = read(read_fd, slot)
        if not data:
            return
        while len(data) < head_size:
            data += _more(read_fd)
        size, kind = unpack(data)
        if len(data) < head_size + size:
            data = _read_rest(read_fd, data, head_size + size)
        try:
            if kind & needs_main and not main_ready:
                main_ready = True
                import_main(*setup.main)
            what = kind & 0xFF
            if what == call_plain:
                end = head_size + (kind >> shift)
                fn = find(data[head_size:end])
                args = load_plain(data[end : head_size + size])  # noqa: S302 - of our pool
                kwargs = None
            elif what == named:
                end = head_size + (kind >> shift)
                fn = find(data[head_size:end])
                args = loads(data[end : head_size + size])
                kwargs = None
            elif what == wire.CALL:
                fn, args, kwargs = loads(data[head_size : head_size + size])
            elif what == wire.CALL_SHARED:
                fn, args, kwargs = arena.load_call(data[head_size : head_size + size])
            else:
                fn, args, kwargs = _whole(arena.take(data[head_size : head_size + size]), find)
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            error.add_note("raised while the worker read the call, which never started")
            answer = _error(error)
        else:
            try:
                value = fn(*args, **kwargs) if kwargs else fn(*args)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
                answer = _error(error)
            else:
                if type(value) in _SMALL and len(data := dump_plain(value, version)) <= inline:
                    answer = pack(len(data), plain) + data
                else:
                    answer = _value(value, arena, inline)
                value = None
        fn = args = kwargs = data = None  # nothing of it is kept
        flush_out()
        flush_err()
        if len(answer) <= _PIPE:
            write(write_fd, answer)
        else:
            _write_all(write_fd, answer)
        answer = None


def _whole(message: bytes, find: Callable[[bytes], Any]) -> Any:
    """Read a call that was made for the pipe, and was too long for it: this pipe is smaller than others."""
    _, kind = wire.HEAD.unpack_from(message)
    body = message[wire.HEAD_SIZE :]
    what, end = kind & 0xFF, kind >> wire.NAME_SHIFT
    if what == wire.CALL_PLAIN:
        return find(body[:end]), load_plain(body[end:]), None  # noqa: S302 - of our pool
    if what == wire.CALL_NAMED:
        return find(body[:end]), loads(body[end:]), None
    return loads(body)


# ---------------------------------------------------------------- answers


_SMALL = frozenset({int, float, bool, type(None)})
_TEXTS = frozenset({str, bytes})


def _value(value: Any, arena: Arena, inline: int) -> bytes:
    try:
        if type(value) in _TEXTS and len(value) <= inline:
            data = dump_plain(value, wire.PLAIN_VERSION)
            if len(data) <= inline:
                return wire.HEAD.pack(len(data), wire.PLAIN) + data
        if arena.usable and _is_large(value, inline):
            layout = arena.dump(value)
            return wire.HEAD.pack(len(layout), wire.VALUE | wire.SHARED) + layout
        buffers: list[object] = []
        data = dumps(value, 5, buffer_callback=buffers.append) if arena.usable else dumps(value, 5)
        if len(data) <= inline and not buffers:
            return wire.HEAD.pack(len(data), wire.VALUE) + data
        if not arena.usable:
            return wire.HEAD.pack(len(data), wire.VALUE) + data
        layout = arena.put(data, buffers)
        return wire.HEAD.pack(len(layout), wire.VALUE | wire.SHARED) + layout
    except BaseException as error:  # noqa: BLE001 - pickling runs anybody's code
        return _lost("the call returned, but its result", value, error)


def _is_large(value: object, inline: int) -> bool:
    if type(value) in _SNIFFED:
        return len(value) > inline  # type: ignore[arg-type] # all of these have a length
    return False


def _error(error: BaseException) -> bytes:
    from traceback import format_exception  # noqa: PLC0415 - not every worker fails

    tb = error.__traceback__
    text = "".join(
        format_exception(type(error), error, tb.tb_next if tb is not None and tb.tb_next else tb)
    )
    try:
        error.__traceback__ = None
        data = dumps((error, text), 5)
        loads(data)  # many exceptions can be sent, but not be made again
    except BaseException as why:  # noqa: BLE001 - pickling runs anybody's code
        return _lost("the call raised, but its error", error, why, text)
    return wire.HEAD.pack(len(data), wire.ERROR) + data


def _lost(what: str, value: object, why: BaseException, text: str = "") -> bytes:
    try:
        shown = repr(value)
    except BaseException:  # noqa: BLE001 - anybody's code
        shown = object.__repr__(value)
    if len(shown) > _LONGEST:
        shown = shown[:_LONGEST] + "..."
    try:
        reason = f"{type(why).__name__}: {why}"
    except BaseException:  # noqa: BLE001 - anybody's code
        reason = type(why).__name__
    if not text:
        from traceback import format_exception  # noqa: PLC0415 - not every worker fails

        text = "".join(format_exception(type(why), why, why.__traceback__))
    said = f"{what}, {shown}, can't be sent back ({reason})"
    data = dumps((said, text), 5)
    return wire.HEAD.pack(len(data), wire.LOST) + data


_LONGEST = 200
_PIPE = 65536


def _answer(fd: int, kind: int, body: bytes) -> None:
    _write_all(fd, wire.HEAD.pack(len(body), kind) + body)


# ---------------------------------------------------------------- pipes


def _more(fd: int) -> bytes:
    data = os.read(fd, 65536)
    if not data:
        os._exit(0)  # whoever was to send the rest is gone
    return data


def _read_rest(fd: int, data: bytes, size: int) -> bytes:
    parts = [data]
    missing = size - len(data)
    while missing > 0:
        part = _more(fd)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _write_all(fd: int, data: bytes) -> None:
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += os.write(fd, view[done : done + 65536])


def _flushers() -> tuple[Callable[[], object], Callable[[], object]]:
    def nothing() -> None:
        pass

    found: list[Callable[[], object]] = []
    for text in (sys.stdout, sys.stderr):
        if type(text) is TextIOWrapper:
            # The text layer is to keep nothing back: to ask it each time would take four times as long.
            text.reconfigure(write_through=True)
            found.append(text.buffer.flush)
        else:
            found.append(getattr(text, "flush", nothing))
    return found[0], found[1]


# ---------------------------------------------------------------- preparing


def _prepare(write_fd: int, setup: Setup) -> bool:
    """Import what has to be there and run the initializer; False if that failed."""
    try:
        for name in setup.modules:
            __import__(name)
        if setup.needs_main:
            import_main(*setup.main)  # it has been read before by another worker
        if setup.initializer is not None:
            initializer, args, kwargs = loads(setup.initializer)
            initializer(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever it is, no worker can work
        from traceback import format_exception  # noqa: PLC0415 - rare

        text = "".join(format_exception(type(error), error, error.__traceback__))
        try:
            error.__traceback__ = None
            data = dumps((error, text), 5)
            loads(data)
        except BaseException:  # noqa: BLE001 - pickling runs anybody's code
            data = dumps((PicklingError(f"{type(error).__name__}: {error}"), text), 5)
        _answer(write_fd, wire.BROKEN, data)
        return False
    return True


def import_main(name: str | None, path: str | None) -> None:
    """Run the program that made the pool, under another name, so that what it defines is here.

    Args:
        name: Of its module, if it was started with ``-m``.
        path: Of its file, if it was started by that.
    """
    from runpy import run_module, run_path  # noqa: PLC0415 - only where calls come from __main__

    module = type(sys)("__mp_main__")
    if name is not None:
        found = run_module(name, run_name="__mp_main__", alter_sys=True)
    elif path is not None:
        found = run_path(path, run_name="__mp_main__")
    else:
        return
    module.__dict__.update(found)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
