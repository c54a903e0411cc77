"""What ``holdfast run`` costs for each request of an HTTP server: in instructions, and in CPU time.

    python -m benchmarks guard
    python -m benchmarks.guard_cost [keep|close [SERVER]]    the instructions alone, with and without lines

A server (aiohttp's, uvicorn, the streams of asyncio, or ``http.server`` with its threads) answers a client in
a process of its own; each request reads a file, and gathers three tasks where there is a loop. Instructions
are counted by valgrind's cachegrind in a run with few and in one with more requests; the difference is the
price of a request, without the start. Valgrind slows the program down and not the clock, so what a guard does
each second would weigh many times what it does in earnest: samples, and looks at the pools, are hours apart in
these runs, and what they cost is another claim (``watch``). CPU time is that of the server between two requests,
with a monitor as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.peers import PeerMissingError
from holdfast.adapters.guard.options import GuardOptions
from holdfast.cli.run.launch import environment_of

FEW, MORE = 200, 1_200
SERVER = str(Path(__file__).with_name("guard_cost_server.py").resolve())
SERVERS = {
    "aiohttp": "an aiohttp server",
    "uvicorn": "uvicorn with h11",
    "streams": "a server of asyncio's streams",
    "threads": "`ThreadingHTTPServer`",
}

VARIANTS: dict[str, GuardOptions | None] = {
    "plain": None,
    "guarded, no lines": GuardOptions(lines=False),
    "guarded": GuardOptions(),
}
_AN_HOUR = 3600.0


def request_instructions(server: str, mode: str, options: GuardOptions | None) -> float:
    """Instructions of one request.

    Raises:
        PeerMissingError: There is no valgrind.
    """
    if shutil.which("valgrind") is None:
        why = "valgrind is not installed"
        raise PeerMissingError(why)
    quiet = None if options is None else replace(options, interval=_AN_HOUR)
    more, few = (_instructions(requests, mode, server, quiet) for requests in (MORE, FEW))
    return (more - few) / (MORE - FEW)


def request_cpu_s(requests: int, server: str, mode: str, options: GuardOptions | None) -> float:
    """CPU seconds of one request, on one core."""
    done = _run([sys.executable, SERVER, str(requests), mode, server], options)
    return float(done.stdout)


def _instructions(requests: int, mode: str, server: str, options: GuardOptions | None) -> int:
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = _run([*tool, sys.executable, SERVER, str(requests), mode, server], options)
    found = re.search(r"I *refs: *([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


def _run(command: list[str], options: GuardOptions | None) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    if options is not None:
        environ = environment_of(options, environ)
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(  # noqa: S603 - a program of our own
            command, env=environ, cwd=folder, capture_output=True, text=True, check=True
        )


def main() -> None:
    """Print instructions for each request, and by how much they are more."""
    mode, server = [*sys.argv[1:], *("keep", "aiohttp")[len(sys.argv) - 1 :]]
    plain = 0.0
    for name, options in VARIANTS.items():
        each = request_instructions(server, mode, options)
        plain = plain or each
        print(f"{name:20} {each:12,.0f}  {each / plain - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main()
