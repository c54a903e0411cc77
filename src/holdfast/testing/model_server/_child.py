"""The model server as a child process: started, asked, ended, reaped.

Purpose: a server for blocking code, without a thread.
Guarantees: when ``start`` returns, the server takes connections; when it raises, or when ``stop``
returns or raises, no process, pipe or file of it is left. The child ends when its standard input
closes, so it does not outlive a parent that was killed.
Assumptions: a Unix; ``sys.executable`` is a Python that can import this package.
"""

import http.client
import json
import os
import selectors
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from holdfast._core import clock
from holdfast.testing.model_server._options import Options
from holdfast.testing.model_server._stats import ServerStats

if TYPE_CHECKING:
    from holdfast.testing.model_server._jsontext import JsonObject

__all__ = ("Child",)

_START_S = 30.0
_STOP_S = 5.0
_ASK_S = 10.0
_SHOWN_BYTES = 4000


class Child:
    """One running server process.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], grace: float) -> None:
        self._process = process
        self._errors = errors
        self._grace = grace
        self.url = ""

    @classmethod
    def start(cls, options: Options) -> "Child":
        """Start a server with ``options`` and wait until it listens.

        Raises:
            RuntimeError: It ended, or did not listen within 30 seconds; with what it said.
        """
        command = [sys.executable, "-P", "-m", "holdfast.testing.model_server"]
        command += ["--json", "--until-stdin-closes", *options.to_flags()]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _release; a pipe could fill up
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, this package, checked options
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if options.access_log else errors,
                # Ctrl-C in the terminal is for the parent, which may still need the server.
                start_new_session=True,
            )
        except BaseException:
            errors.close()
            raise
        child = cls(process, errors, options.grace)
        try:
            child.url = child._wait_until_ready()
        except BaseException:
            child._release()
            raise
        return child

    def stats(self) -> ServerStats:
        """Ask the server what it has counted.

        Raises:
            RuntimeError: It does not answer.
        """
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_ASK_S)
        try:
            connection.request("GET", "/stats")
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            msg = f"the model server at {self.url} does not answer ({error!r}); {self._state()}"
            raise RuntimeError(msg) from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            msg = f"the model server at {self.url} answered {response.status}: {body.decode()}"
            raise RuntimeError(msg)
        return _read_stats(body)

    def stop(self) -> ServerStats | None:
        """End the server and reap it; return its last figures, None if it could not tell them."""
        try:
            said, _ = self._process.communicate(timeout=self._grace + _STOP_S)
        except subprocess.TimeoutExpired:
            said = b""
        finally:
            complaints = self._release()
        if complaints:
            sys.stderr.write(complaints)
        try:
            return _read_stats(said)
        except ValueError:  # it was killed before it could tell, or in the middle of it
            return None

    # ------------------------------------------------------------ inside

    def _wait_until_ready(self) -> str:
        output = cast("IO[bytes]", self._process.stdout)
        deadline = clock.now() + _START_S
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left = deadline - clock.now()
                if left <= 0 or not selector.select(left):
                    msg = f"the model server did not listen within {_START_S:g} s: {self._state()}"
                    raise RuntimeError(msg)
                data = os.read(output.fileno(), 4096)
                if not data:
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(_STOP_S)
                    msg = f"the model server did not start: {self._state()}"
                    raise RuntimeError(msg)
                line += data
        return line.decode().strip()

    def _state(self) -> str:
        code = self._process.poll()
        how = (
            "its process is running" if code is None else f"its process ended with exit code {code}"
        )
        return f"{how}. It said: {self._complaints().strip() or 'nothing'}"

    def _complaints(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _SHOWN_BYTES))
        return self._errors.read().decode("utf-8", "replace")

    def _release(self) -> str:
        """Leave no process, pipe or file; return what the server said on standard error."""
        process = self._process
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        complaints = self._complaints()
        self._errors.close()
        return complaints


def _read_stats(body: bytes) -> ServerStats:
    return ServerStats.from_json(cast("JsonObject", json.loads(body)))
