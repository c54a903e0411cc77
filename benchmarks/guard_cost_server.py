"""The servers of ``guard_cost``: ``python guard_cost_server.py REQUESTS keep|close SERVER``.

It imports nothing of holdfast, starts a client in a process of its own, and prints the CPU seconds that each
request took it, from the first few hundred on. Each request opens a file; where the server is asynchronous it
gathers three tasks before. What there is at the first request is put out of the collector's sight, as servers
do that fork: else one pass over all of it, in one count and not in the other, is 2 per cent of the figure.
The kernel lists a closed connection for a minute, and the guard reads that list at the end: the client resets
each one when the server has closed it, so that none stays.
"""

import asyncio
import gc
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WARM = 500
ANSWER = b'{"parts": [0, 1, 2]}'


class Requests:
    """What each request does, and the price of those after the first few hundred."""

    def __init__(self) -> None:
        self._count, self._begun = 0, 0.0

    def work(self) -> None:
        """Do what can be done without a loop."""
        self._count += 1
        if self._count == 1:
            gc.collect()
            gc.freeze()
        if self._count == WARM:
            self._begun = own_cpu_s()
        with open(os.devnull) as file:  # noqa: PTH123 - what is measured
            file.read()

    async def work_in_loop(self) -> list[int]:
        """Do it all."""
        parts = await asyncio.gather(*(part(number) for number in range(3)))
        self.work()
        return parts

    def each_s(self) -> float:
        """CPU seconds of each."""
        return (own_cpu_s() - self._begun) / max(1, self._count - WARM)


async def part(number: int) -> int:
    """One of the tasks of a request."""
    await asyncio.sleep(0)
    return number


def own_cpu_s() -> float:
    """CPU time of this process, without its children."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def use_aiohttp(listening: socket.socket, todo: Requests, client: Awaitable[Any]) -> None:
    """Serve with aiohttp until the client has gone."""
    from aiohttp import web  # noqa: PLC0415 - only what is measured

    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"parts": await todo.work_in_loop()})

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await client
    await runner.cleanup()


async def use_uvicorn(listening: socket.socket, todo: Requests, client: Awaitable[Any]) -> None:
    """Serve an ASGI application with uvicorn until the client has gone."""
    import uvicorn  # noqa: PLC0415 - likewise

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]

    async def app(scope: Any, _: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await todo.work_in_loop()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})

    settings = uvicorn.Config(app, loop="asyncio", http="h11", lifespan="off", log_level="error")
    server = uvicorn.Server(settings)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    await client
    server.should_exit = True
    await serving


async def use_streams(listening: socket.socket, todo: Requests, client: Awaitable[Any]) -> None:
    """Serve with the streams of asyncio until the client has gone."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            head = b""
            while b"Connection: close" not in head:
                head = await reader.readuntil(b"\r\n\r\n")
                await todo.work_in_loop()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER))
                writer.write(ANSWER)
                await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, sock=listening):
        await client


def use_threads(
    listening: socket.socket, todo: Requests, client: "subprocess.Popen[bytes]"
) -> None:
    """Serve with ``http.server``, a thread for each connection, until the client has gone."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            todo.work()
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *args: Any) -> None:
            return

    address: Any = listening.getsockname()
    with ThreadingHTTPServer(address, Handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listening

        def end() -> None:
            client.wait()
            server.shutdown()

        threading.Thread(target=end).start()
        server.serve_forever()


Serve = Callable[[socket.socket, Requests, Awaitable[Any]], Awaitable[None]]
IN_LOOP: dict[str, Serve] = {"aiohttp": use_aiohttp, "uvicorn": use_uvicorn, "streams": use_streams}


async def in_loop(serve: Serve, listening: socket.socket, todo: Requests, args: list[str]) -> None:
    """Start the client, and serve it in an event loop."""
    client = await asyncio.create_subprocess_exec(*args)
    await serve(listening, todo, client.wait())


def main() -> None:
    """Serve."""
    requests, mode, name = sys.argv[1:]
    listening = socket.create_server(("127.0.0.1", 0))
    # As asyncio does for a socket of its own: else a head and a body that are sent apart wait for each other.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = str(listening.getsockname()[1])
    args = [sys.executable, "-S", "-E", "-c", CLIENT, port, requests, mode]
    todo = Requests()
    if name in IN_LOOP:
        asyncio.run(in_loop(IN_LOOP[name], listening, todo, args))
    else:
        use_threads(listening, todo, subprocess.Popen(args))  # noqa: S603 - a program of our own
    print(todo.each_s())


CLIENT = r"""
import socket, struct, sys
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
        file.read()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        file.close(); connection.close(); connection = None
"""


if __name__ == "__main__":
    main()
