"""Calls as bytes, and replies as outcomes.

A call is pickled when it is submitted, in the thread of who submits it, so a function that can't be sent
fails its own call and no other. Arguments that are seen to be large are pickled later, straight into
the memory that is shared with the worker: one copy instead of three.
"""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from marshal import dumps as dump_plain, loads as load_plain
from pathlib import Path
from pickle import PicklingError, dumps, loads
from typing import Any, Final

from holdfast.errors import ResultLost
from holdfast.pools._child import wire
from holdfast.pools._child.arena import Arena
from holdfast.pools._process_named import MAIN, name_of

__all__ = ("INLINE", "Payload", "WorkerTraceback", "encode", "encode_whole", "read_reply")

INLINE: Final = 32 * 1024
"""Most bytes that go through the pipe; what is larger goes through shared memory. Of 1 KiB there and back
the pipe takes half as long, of 8 KiB as well, of 32 KiB three quarters, and from 48 KiB on as long: half of
it, which is sure to be taken, is the bound (``benchmarks/bench_processes.py``, cases ``kib-1`` to ``kib-60``)."""

_SNIFFED: Final = frozenset({bytes, bytearray, str})
_ATOMS: Final = frozenset({int, float, bool, type(None)})
_pack_head: Final = wire.HEAD.pack

Payload = bytes | tuple[bytes, list[Any]] | None
"""A whole message for the pipe; a pickle and the buffers beside it; or None: it is pickled when it is sent."""


class WorkerTraceback(Exception):
    """Where an error was raised in a worker process: the cause of that error.

    Attributes:
        tb: The traceback as text.
    """

    def __init__(self, tb: str) -> None:
        super().__init__(tb)
        self.tb = tb

    def __str__(self) -> str:
        return f'\n"""\n{self.tb}"""'


def encode(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, shared: bool
) -> tuple[int, Payload]:
    """Return the kind of the message, and the payload.

    Args:
        fn: The function.
        args: Its arguments.
        kwargs: Its named ones.
        shared: Whether there is memory to be shared.

    Raises:
        Exception: It can't be pickled.
    """
    simple = not kwargs
    plain = True
    values: tuple[object, ...] = args  # a call of cast() would cost as much as the rest of a turn
    for value in values:
        what = type(value)
        if what in _ATOMS:
            continue
        if what not in _SNIFFED:
            simple = False
        elif len(value) > INLINE:  # type: ignore[arg-type] # all of these have a length
            if shared:
                return wire.CALL_SHARED | _main_flag(fn, args), None
            simple = False
        elif what is bytearray:
            plain = False
    if simple and (named := name_of(fn, _can_be_read_again)) is not None:
        if plain:
            kind, data = named.plain, named.data + dump_plain(args, wire.PLAIN_VERSION)
        else:
            kind, data = named.kind, named.data + dumps(args, 5)
        if not shared or len(data) <= INLINE:
            return kind, _pack_head(len(data), kind) + data
    return encode_whole(fn, args, kwargs, shared=shared)


def encode_whole(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, shared: bool
) -> tuple[int, Payload]:
    """Do the same with one pickle for all of it, which the worker can read without knowing anything.

    Raises:
        Exception: It can't be pickled.
    """
    buffers: list[Any] = []
    main = 0
    try:
        if shared:
            data = dumps((fn, args, kwargs), 5, buffer_callback=buffers.append)
        else:
            data = dumps((fn, args, kwargs), 5)
    except Exception as error:  # noqa: BLE001 - pickling runs anybody's code
        buffers.clear()
        data = _by_value(fn, args, kwargs, error)
    else:
        if MAIN in data:
            if _can_be_read_again():
                main = wire.NEEDS_MAIN
                sys.modules["__mp_main__"] = sys.modules["__main__"]  # so that replies find it
            else:
                buffers.clear()
                data = _by_value(fn, args, kwargs, None)
    if not shared or (len(data) <= INLINE and not buffers):
        kind = wire.CALL | main
        return kind, wire.HEAD.pack(len(data), kind) + data
    return wire.CALL_SHARED | main, (data, buffers)


def _main_flag(fn: Callable[..., Any], args: tuple[Any, ...]) -> int:
    modules = {getattr(fn, "__module__", None), *(type(value).__module__ for value in args)}
    return wire.NEEDS_MAIN if "__main__" in modules and _can_be_read_again() else 0


_GUARD: Final = re.compile(rb"^\s*if\b[^\n#]*\b__name__\b", re.MULTILINE)
_guarded: dict[str, bool] = {}


def _can_be_read_again() -> bool:
    """Whether workers may read the main program for what it defines, without doing what it does.

    A program that asks ``if __name__ ...`` expects to be imported; another one would be run.
    """
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None) if spec is None else spec.origin
    if file is None:
        return False
    found = _guarded.get(file)
    if found is None:
        try:
            found = _GUARD.search(Path(file).read_bytes()) is not None
        except OSError:
            found = False
        _guarded[file] = found
    return found


def _by_value(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: Exception | None,
) -> bytes:
    """Pickle with cloudpickle, which can send what pickle can't, if it is installed."""
    if find_spec("cloudpickle") is not None:
        try:
            by_value: bytes = import_module("cloudpickle").dumps((fn, args, kwargs), 5)
        except Exception as neither:  # noqa: BLE001 - likewise
            error = error or neither
        else:
            return by_value
    if error is None:
        msg = (
            f"can't send {fn!r} to a worker process: it is defined in the main program, which a worker "
            'would run again to find it. Put what the program does under `if __name__ == "__main__":`, '
            "move the function to a module, or install cloudpickle, with which it is sent whole"
        )
        raise PicklingError(msg)
    error.add_note(
        "the call never started: a worker process is sent the name of a function, and imports it. Move "
        "it to the top level of a module, or install cloudpickle, with which lambdas and closures are "
        "sent whole"
    )
    raise error


def read_reply(kind: int, body: bytes, arena: Arena) -> tuple[Any, BaseException | None]:
    """Return what the call returned, or what it raised."""
    what = kind & 0xFF
    try:
        if what == wire.PLAIN:
            return load_plain(body), None  # noqa: S302 - of a process of ours
        if what == wire.VALUE:
            if kind & wire.SHARED:
                value = arena.load(body)
                arena.shrink()
                return value, None
            return loads(body), None  # noqa: S301 - of a process of ours
        first, text = loads(body)  # noqa: S301 - likewise
    except BaseException as error:  # noqa: BLE001 - unpickling runs anybody's code
        lost = ResultLost(
            f"the call ran to its end, but its result can't be read here ({type(error).__name__}: "
            f"{error}); return plain data, or a class that this process can import"
        )
        lost.__cause__ = error
        return None, lost
    if what == wire.LOST:
        lost = ResultLost(f"{first}; return plain data, or a class that can be pickled")
        lost.__cause__ = WorkerTraceback(text)
        return None, lost
    raised: BaseException = first
    raised.__cause__ = WorkerTraceback(text)
    return None, raised
