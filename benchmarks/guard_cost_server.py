"""The server of ``guard_cost``: ``python guard_cost_server.py REQUESTS keep|close``.

It imports nothing of holdfast, starts a client in a process of its own, and prints the CPU seconds that each
request took it, from the first few hundred on.
"""

import asyncio
import os
import resource
import socket
import sys

from aiohttp import web

WARM = 500


async def part(number: int) -> int:
    """One of the tasks of a request."""
    await asyncio.sleep(0)
    return number


async def serve(requests: int, mode: str) -> None:
    """Serve so many requests of a client in a process of its own."""
    count, begun = 0, 0.0

    async def handle(_: web.Request) -> web.Response:
        nonlocal count, begun
        count += 1
        if count == WARM:
            begun = own_cpu_s()
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
    print((own_cpu_s() - begun) / max(1, requests - WARM))
    await runner.cleanup()


def own_cpu_s() -> float:
    """CPU time of this process, without its children."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
