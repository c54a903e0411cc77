"""What ``holdfast run`` costs for each request of an HTTP server, in instructions.

    python -m benchmarks.guard_cost [keep|close]

An aiohttp server runs under valgrind's cachegrind with few and with more requests, as it is, under guard
without lines, and under guard with them; the difference is the price of a request, without the start. Each
request gathers three tasks and reads a file. Valgrind slows the program down and not the clock, so what the
guard does each second weighs many times what it does in earnest: the row without lines shows it.
"""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from holdfast.adapters.guard.options import GuardOptions
from holdfast.cli.run.launch import environment_of

FEW, MORE = 200, 600
SELF = str(Path(__file__).resolve())


async def part(number: int) -> int:
    """One of the tasks of a request."""
    await asyncio.sleep(0)
    return number


async def serve(requests: int, mode: str) -> None:
    """Serve so many requests of a client in a process of its own."""
    from aiohttp import web  # noqa: PLC0415 - the client needs none of it

    async def handle(_: web.Request) -> web.Response:
        parts = await asyncio.gather(*(part(number) for number in range(3)))
        with open(os.devnull) as file:  # noqa: ASYNC230, PTH123 - what is measured
            file.read()
        return web.json_response({"parts": parts})

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    port = str(listening.getsockname()[1])
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-E", "-c", CLIENT, port, str(requests), mode
    )
    await client.wait()
    await runner.cleanup()


CLIENT = r"""
import socket, sys
port, requests, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
ask = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {'close' if mode == 'close' else 'keep-alive'}\r\n\r\n".encode()
connection = None
for _ in range(requests):
    if connection is None:
        connection = socket.create_connection(("127.0.0.1", port))
        file = connection.makefile("rb")
    connection.sendall(ask)
    length = 0
    while (line := file.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length"):
            length = int(line.split(b":")[1])
    file.read(length)
    if mode == "close":
        file.close(); connection.close(); connection = None
"""


def instructions(requests: int, mode: str, options: GuardOptions | None) -> int:
    """Instructions of a whole run."""
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    if options is not None:
        environ = environment_of(options, environ)
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - this very file
            [*tool, sys.executable, SELF, "serve", str(requests), mode],
            env=environ, cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = re.search(r"I *refs: *([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


def main() -> None:
    """Print instructions for each request, and by how much they are more."""
    mode = sys.argv[1] if len(sys.argv) > 1 else "keep"
    plain = 0.0
    for name, options in {
        "plain": None,
        "guarded, no lines": GuardOptions(lines=False),
        "guarded": GuardOptions(),
    }.items():
        each = (instructions(MORE, mode, options) - instructions(FEW, mode, options)) / (MORE - FEW)
        plain = plain or each
        print(f"{name:20} {each:12,.0f}  {each / plain - 1:+.1%}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2]), sys.argv[3]))
    else:
        main()
