"""A thousand HTTP calls in flight: bare clients, and shared ones with a line before them.

Against a server in a process of its own that answers after 50 ms.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast.track.http import http

CLAIM = Claim(
    "http",
    "With a thousand calls in flight a line before the client makes httpx several times cheaper; over "
    "aiohttp they cost a fraction of that.",
)

_SERVER = """
import asyncio

HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 200\\r\\n\\r\\n"
ANSWER = HEAD + b" " * 198 + b"{}"

def length_of(head):
    for line in head.lower().split(b"\\r\\n"):
        if line.startswith(b"content-length"):
            return int(line.split(b":")[1])
    return 0

async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            await reader.readexactly(length_of(head))
            await asyncio.sleep(0.05)
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""

BODY = {"messages": [{"role": "user", "content": "x" * 250}]}
Call = Callable[[], Awaitable[Any]]


@asynccontextmanager
async def _server() -> AsyncGenerator[str]:
    process = subprocess.Popen(  # noqa: S603, ASYNC220 - this Python; before anything is measured
        [sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.kill()
        process.communicate()


async def _all_at_once(meter: Meter, n: int, call: Call) -> None:
    await asyncio.gather(*(call() for _ in range(20)))
    before = _descriptors()
    most = 0

    async def counted() -> None:
        nonlocal most
        await call()
        most = max(most, _descriptors())

    with meter.measure():
        await asyncio.gather(*(counted() for _ in range(n)))
    meter.note(descriptors=float(most - before))


def _descriptors() -> int:
    return Path("/proc/self/fd").stat().st_size if sys.platform == "linux" else 0


# ---------------------------------------------------------------- clients


async def bare(meter: Meter, n: int, *, library: str) -> None:
    """One client, as it is when nobody says more: all its calls at once, and patience."""
    module = load(library)
    async with (
        _server() as url,
        module.AsyncClient(
            trust_env=False,
            timeout=600,
            limits=module.Limits(max_connections=None),
        ) as client,
    ):
        await _all_at_once(meter, n, lambda: client.post(url, json=BODY))


async def bare_aiohttp(meter: Meter, n: int) -> None:
    aiohttp = load("aiohttp")
    async with (
        _server() as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):

        async def call() -> None:
            async with session.post(url, json=BODY) as response:
                await response.read()

        await _all_at_once(meter, n, call)


async def ours(meter: Meter, n: int, *, library: str) -> None:
    load(library)
    async with _server() as url:
        client = getattr(http, library)("bench", trust_env=False, queue_timeout=600.0)
        await _all_at_once(meter, n, lambda: client.post(url, json=BODY))
        await http.aclose()


async def ours_aiohttp(meter: Meter, n: int, *, limit: int) -> None:
    load("aiohttp")
    async with _server() as url:
        session = http("bench", limit=limit, queue_timeout=600.0)

        async def call() -> None:
            async with session.post(url, json=BODY) as response:
                await response.read()

        await _all_at_once(meter, n, call)
        await http.aclose()


FLIGHT = CLAIM.case(
    "thousand",
    "calls, all of them at once",
    n=1_000,
    quick_n=500,
    unit="call",
    warm_n=20,
    most_rounds=3,
)
FLIGHT.add("holdfast.http, limit=1000", ours_aiohttp, ours=True, limit=1_000)
FLIGHT.add("holdfast.http", ours_aiohttp, ours=True, limit=100)
FLIGHT.add("holdfast.http.httpx2", ours, ours=True, library="httpx2")
FLIGHT.add("holdfast.http.httpx", ours, ours=True, library="httpx")
FLIGHT.add("aiohttp", bare_aiohttp)
FLIGHT.add("httpx2", bare, library="httpx2")
FLIGHT.add("httpx", bare, library="httpx")


# ---------------------------------------------------------------- blocking clients

THREADS = 20


async def _by_threads(meter: Meter, n: int, call: Callable[[], Any]) -> None:
    """So many threads, each doing one call after the other."""
    most = 0

    def counted(_: int) -> None:
        nonlocal most
        call()
        most = max(most, _descriptors())

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(counted, range(THREADS)))
        before, most = _descriptors(), 0
        with meter.measure():
            await asyncio.to_thread(lambda: list(threads.map(counted, range(n))))
    meter.note(descriptors=float(max(0, most - before)))


async def blocking_ours(meter: Meter, n: int) -> None:
    load("httpx")
    async with _server() as url:
        client = http.blocking.httpx("bench", limit=THREADS, trust_env=False)
        await _by_threads(meter, n, lambda: client.post(url, json=BODY))
        await http.blocking.aclose()


async def blocking_shared(meter: Meter, n: int) -> None:
    """One client for all threads."""
    httpx = load("httpx")
    async with _server() as url:
        with httpx.Client(trust_env=False, timeout=600) as client:
            await _by_threads(meter, n, lambda: client.post(url, json=BODY))


async def blocking_each(meter: Meter, n: int) -> None:
    """A client for each call, as ``httpx.post`` has it."""
    httpx = load("httpx")
    async with _server() as url:

        def call() -> None:
            with httpx.Client(trust_env=False, timeout=600) as client:
                client.post(url, json=BODY)

        await _by_threads(meter, n, call)


BLOCKING = CLAIM.case(
    "threads",
    "blocking calls, 20 threads at once",
    n=1_000,
    quick_n=200,
    unit="call",
    warm_n=20,
    most_rounds=3,
)
BLOCKING.add("holdfast.http.blocking.httpx", blocking_ours, ours=True)
BLOCKING.add("httpx.Client, shared", blocking_shared)
BLOCKING.add("httpx.Client for each call", blocking_each)


# ---------------------------------------------------------------- an SDK


async def _sdk(meter: Meter, n: int, make: Callable[[str], Any]) -> None:
    async with _server() as url:
        client = make(url)

        async def call() -> None:
            await client.post("/chat/completions", body=BODY, cast_to=object)

        await _all_at_once(meter, n, call)
        await client.close()
        await http.aclose()


async def sdk_bare(meter: Meter, n: int) -> None:
    """As its documentation shows it."""
    openai = load("openai")
    await _sdk(meter, n, lambda url: openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0))


async def sdk_ours(meter: Meter, n: int) -> None:
    load("openai")
    await _sdk(
        meter,
        n,
        lambda url: http.openai(
            "bench", limit=1_000, queue_timeout=600.0, base_url=url, api_key="x", max_retries=0
        ),
    )


SDK = CLAIM.case(
    "sdk",
    "calls of the openai package, all of them at once",
    n=1_000,
    quick_n=500,
    unit="call",
    warm_n=20,
    most_rounds=3,
)
SDK.add("holdfast.http.openai", sdk_ours, ours=True)
SDK.add("AsyncOpenAI", sdk_bare)


if __name__ == "__main__":
    raise SystemExit(main(["http", *sys.argv[1:]]))
