"""The model server as a command: flags, signals, exit codes."""

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import stat
import sys
from collections.abc import Generator, Sequence
from dataclasses import fields
from typing import TextIO

from holdfast.testing.model_server._jsontext import write
from holdfast.testing.model_server._model_server import ModelServer
from holdfast.testing.model_server._options import Options, flag_of
from holdfast.testing.model_server._stats import ServerStats

__all__ = ("main",)

# Descriptors beside the connections: the loop's own, the standard ones, the listening socket.
_SPARE_DESCRIPTORS = 64

# How each option is read on the command line, what its value is called, and what --help says.
_HELP: dict[str, tuple[type, str | None, str]] = {
    "host": (str, "ADDRESS", "address to listen on"),
    "port": (int, "PORT", "port to listen on, 0 to 65535; 0 takes any free one"),
    "seed": (int, "N", "0 or more; decides which request meets which latency and fault"),
    "latency": (str, "LATENCY", "seconds until an answer begins, or a distribution of them"),
    "token_latency": (str, "LATENCY", "seconds between the tokens of a stream; the same forms"),
    "rate_limit": (int, "N", "calls per period, 1 or more; past it 429 with retry-after"),
    "rate_period": (float, "SECONDS", "length of that period in seconds"),
    "error_rate": (
        float,
        "SHARE",
        "share of calls answered by an error: half of them 500, half overloaded",
    ),
    "hang_rate": (float, "SHARE", "share of calls that never get an answer"),
    "disconnect_rate": (float, "SHARE", "share of answers cut off in the middle"),
    "stall_rate": (float, "SHARE", "share of answers that stall on the way (slow loris)"),
    "stall_mode": (
        str,
        "MODE",
        "how they stall: dribble (byte by byte), pause (in the middle), mix (half and half)",
    ),
    "stall_time": (float, "SECONDS", "seconds by which a stalled answer takes longer"),
    "stream_error_rate": (
        float,
        "SHARE",
        "share of the streams not hit by another fault that end in an error event",
    ),
    "max_concurrent": (int, "N", "calls in flight, 1 or more; past it overloaded"),
    "max_connections": (int, "N", "open connections, 1 or more; past it 503 and closed"),
    "max_request_bytes": (int, "BYTES", "size of a request's body; past it 413"),
    "max_head_bytes": (int, "BYTES", "size of a request's head; past it 431"),
    "idle_timeout": (
        float,
        "SECONDS",
        "seconds after which a connection without a request, or that reads nothing, is closed",
    ),
    "request_timeout": (float, "SECONDS", "seconds for a request to arrive whole; past it 408"),
    "grace": (float, "SECONDS", "seconds for answers in progress when the server ends"),
    "access_log": (bool, None, "log a line per request"),
}

_EPILOG = """\
A latency is a number of seconds, uniform:LOW:HIGH, exponential:MEAN or lognormal:MEDIAN:SIGMA.

When the server takes connections, its URL is printed as one line. It runs until SIGINT (exit code
130), SIGTERM (143) or, with --until-stdin-closes, the end of standard input (0): it then accepts
nothing more and gives answers in progress --grace seconds; a second signal ends it at once.
Exit code 1: it could not listen; 2: bad usage.
"""


class _CannotListenError(Exception):
    """The address can't be had."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        server = ModelServer(**{one.name: getattr(given, one.name) for one in fields(Options)})
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    if given.until_stdin_closes and not _ends_some_time(sys.stdin):
        parser.error("--until-stdin-closes needs a pipe or a terminal as standard input")
    if server.access_log:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _make_room_for(server.max_connections)
    try:
        code = asyncio.run(_serve(server, until_stdin_closes=given.until_stdin_closes))
    except _CannotListenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _tell(server.stats(), as_json=given.json)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.model_server",
        usage="%(prog)s [options]",
        description="A local server that speaks Anthropic Messages and OpenAI Chat Completions.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in fields(Options):
        read, called, text = _HELP[option.name]
        flag = flag_of(option.name)
        if read is bool:
            parser.add_argument(flag, action="store_true", help=text)
            continue
        known = "" if option.default is None else f" (default {option.default})"
        parser.add_argument(
            flag, type=read, metavar=called, default=option.default, help=text + known
        )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input does, as it does when the starting process dies",
    )
    return parser


async def _serve(server: ModelServer, *, until_stdin_closes: bool) -> int:
    """Run the server until it is told to end; return the exit code."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if ending.done():
            os._exit(code)  # asked twice: at once
        ending.set_result(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, 128 + number)
    with _watching_stdin(ending) if until_stdin_closes else contextlib.nullcontext():
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(server)
            except OSError as error:
                msg = f"cannot listen on {server.host} port {server.port}: {error}"
                raise _CannotListenError(msg) from error
            _print(server.base_url)
            return await ending


def _ends_some_time(stream: TextIO | None) -> bool:
    if stream is None:
        return False
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stream.isatty()


@contextlib.contextmanager
def _watching_stdin(ending: "asyncio.Future[int]") -> Generator[None]:
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            if not ending.done():
                ending.set_result(0)

    loop.add_reader(descriptor, readable)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


def _make_room_for(connections: int) -> None:
    """Raise this process's own soft limit of descriptors, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS may refuse what it said it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _tell(stats: ServerStats, *, as_json: bool) -> None:
    if as_json:
        _print(write(stats.to_json()))
        return
    sys.stderr.write(
        f"{stats.requests} calls: {stats.answered} answered, {stats.errors} errors, "
        f"{stats.rate_limited} rate limited, {stats.bad_requests} bad; "
        f"at most {stats.peak_in_flight} in flight on {stats.peak_connections} connections\n"
    )


def _print(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader is gone. Let the rest go nowhere, so that the exit code stands.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
