"""A pool's end of its zygote: the process that forks its workers.

Purpose: start it, ask it for workers, tell it whom to end, and hear what became of them.

Guarantees: it inherits standard output and error, a socket to here, and the environment that was named;
nothing else. It ends when this process does, whatever becomes of it, and takes all workers with it.
States: closed -> open (the first worker was asked for) -> closed (its pool has closed, or it died).
"""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from holdfast._core.process_tree.mark import mark_environment, new_mark
from holdfast.pools._child import wire
from holdfast.pools._process_worker import WorkerProcess

__all__ = ("Link", "named_environment")

_BOOT: Final = str(Path(__file__).parent / "_child" / "boot.py")

_FILES: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP")
_WORDS: Final = ("TERM", "LANG", "LANGUAGE", "TZ")
_LIBRARIES: Final = (
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_THREADS: Final = tuple(f"{one}_NUM_THREADS" for one in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"))
_NAMED: Final = frozenset((*_FILES, *_WORDS, *_LIBRARIES, *_THREADS))


def named_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment of a pool's processes: what was named, or what any program needs."""
    if env is not None:
        return dict(env)
    return {
        name: value
        for name, value in os.environ.items()
        if name in _NAMED or name.startswith(("LC_", "PYTHON"))
    }


class Link:
    """One zygote. ``on_word`` is called with each of its records, ``on_end`` when it has gone."""

    def __init__(
        self,
        config: Mapping[str, Any],
        env: Mapping[str, str],
        *,
        on_word: Callable[[int, int, int, int], None],
        on_end: Callable[[], None],
    ) -> None:
        self._on_word = on_word
        self._on_end = on_end
        self._words = bytearray()
        self.closed = False
        self.mark = new_mark()
        self._ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-I", "-S", _BOOT, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=mark_environment(env, self.mark),
                start_new_session=True,
            )
        except BaseException:
            self._ours.close()
            raise
        finally:
            theirs.close()
        data = pickle.dumps(dict(config), 5)
        self._say(len(data).to_bytes(8, "little") + data)

    @property
    def fd(self) -> int:
        """What to listen to."""
        return self._ours.fileno()

    @property
    def pid(self) -> int:
        """The zygote."""
        return self._process.pid

    def spawn(self, worker: WorkerProcess, *, needs_main: bool) -> None:
        """Ask for a worker.

        Raises:
            OSError: The zygote is gone.
        """
        record = wire.RECORD.pack(wire.SPAWN, worker.number, 0, int(needs_main), 0)
        try:
            socket.send_fds(self._ours, [record], worker.to_send)
        finally:
            worker.close_theirs()

    def end(self, number: int, grace: float) -> None:
        """Have a worker ended with all that it started."""
        self._say(wire.RECORD.pack(wire.END, number, int(grace * 1e9), 0, 0))

    def _say(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it is gone: the next word says so
            self._ours.sendall(data)

    def hear(self) -> None:
        """Read what it says; there is something to read."""
        try:
            data = self._ours.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._on_end()
            return
        self._words += data
        size = wire.RECORD_SIZE
        while len(self._words) >= size:
            record = bytes(self._words[:size])
            del self._words[:size]
            kind, worker, first, second, _ = wire.RECORD.unpack(record)
            self._on_word(kind, worker, first, second)

    def close(self) -> bool:
        """Let the zygote go, and reap it; False while it has not ended. Call it again then."""
        if not self.closed:
            self.closed = True
            self._ours.close()
        return self._process.poll() is not None

    def kill(self) -> None:
        """It has gone, or does not say anything any more."""
        self.closed = True
        self._ours.close()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """In a child after a fork: the zygote is the parent's."""
        self.closed = True
        self._ours.close()
        self._process.returncode = 0  # so that nobody here waits for it
