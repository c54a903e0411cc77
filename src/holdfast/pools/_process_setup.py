"""What the processes of one pool are made from, sent to its zygote when that is started."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from holdfast._core import check
from holdfast.pools._child import wire
from holdfast.pools._process_link import Link, named_environment
from holdfast.pools._process_payload import INLINE, encode_whole

__all__ = ("ProcessSetup",)


class ProcessSetup:
    """The part of a pool's options that its processes have to know.

    Raises:
        Exception: The initializer can't be pickled.
    """

    def __init__(
        self,
        name: str,
        grace: float,
        max_memory: int | None,
        preload: tuple[str, ...],
        env: Mapping[str, str] | None,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self.shared = hasattr(os, "memfd_create")
        self._name = name
        self._grace = grace
        self._max_memory = max_memory or 0
        self._preload = preload
        self._env = None if env is None else dict(env)
        self._needs_main = False
        self._initializer: Any = None
        if initializer is not None:
            check.callable_("initializer", initializer)
            kind, message = encode_whole(initializer, initargs, {}, shared=False)
            assert isinstance(message, bytes)  # noqa: S101 - nothing is shared
            self._initializer = message[wire.HEAD_SIZE :]
            self._needs_main = bool(kind & ~0xFF)

    def make_link(
        self,
        *,
        needs_main: bool,
        on_word: Callable[[int, int, int, int], None],
        on_end: Callable[[], None],
    ) -> Link:
        """Start a zygote.

        Raises:
            OSError: The system refused it.
        """
        config = {
            "name": self._name,
            "main": _main_program(),
            "needs_main": needs_main or self._needs_main,
            "initializer": self._initializer,
            "inline": INLINE,
            "grace": self._grace,
            "max_memory": self._max_memory,
            "path": list(sys.path),
            "argv": list(sys.argv),
            "warnings": list(sys.warnoptions),
            "preload": self._preload,
            "authkey": _authkey(),
        }
        return Link(config, named_environment(self._env), on_word=on_word, on_end=on_end)


def _main_program() -> tuple[str | None, str | None]:
    """How the main program was started: the name of its module, or the path of its file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name, None
    file = getattr(main, "__file__", None)
    return None, os.path.abspath(file) if file is not None else None  # noqa: PTH100 - of a text


def _authkey() -> bytes | None:
    """What processes of ``multiprocessing`` know each other by, where this program uses that."""
    module = sys.modules.get("multiprocessing.process")
    return None if module is None else bytes(module.current_process().authkey)
