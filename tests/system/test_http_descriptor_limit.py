"""A thousand requests, two hundred at once, in a process that may open 64 descriptors."""

import pytest
from tests.system.failure_programs import run_program, start_program

pytestmark = pytest.mark.system

SERVER = """
import asyncio, sys

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            await asyncio.sleep(0.02)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 256\\r\\n\\r\\n" + b"x" * 256)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(f"port {server.sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""

PROGRAM = """
import asyncio, collections, os, resource, sys
import holdfast
from tests.system.failure_programs import report

url, library, in_front = sys.argv[1:]
peak = 0

def descriptors():
    return len(os.listdir("/proc/self/fd")) - 1

async def fetch(_):
    global peak
    if library == "aiohttp":
        async with holdfast.http("model").get(url) as response:
            await response.read()
            status = response.status
    else:
        client = getattr(holdfast.http, library)("model", trust_env=False)
        status = (await client.get(url)).status_code
    peak = max(peak, descriptors())
    return status

async def main(n, at_once):
    if in_front == "pool":
        async with holdfast.AsyncPool(at_once, max_queue=n) as pool:
            outcomes = await asyncio.gather(*(pool.run(fetch, i) for i in range(n)), return_exceptions=True)
    else:
        outcomes = await asyncio.gather(*map(fetch, range(n)), return_exceptions=True)
    return collections.Counter(o if isinstance(o, int) else repr(o)[:200] for o in outcomes)

asyncio.run(main(2, 1))                           # imports, before the limit bites
before = descriptors()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
peak = 0
answers = asyncio.run(main(1000, 200))
again = asyncio.run(main(1, 1))
report(before=before, answers={str(k): v for k, v in answers.items()}, again=again.get(200, 0), peak=peak,
       left=descriptors() - before)
"""


@pytest.mark.parametrize("in_front", ["pool", "nothing"])
@pytest.mark.parametrize("library", ["aiohttp", "httpx", "httpx2"])
def test_each_of_a_thousand_requests_is_answered(library, in_front):
    """Bounded before the client, with or without a pool in front, and with descriptors to spare."""
    with start_program(SERVER) as server:
        server.wait_for("port")
        port = server._said[-1].split()[1]

        figures = run_program(PROGRAM, f"http://127.0.0.1:{port}/", library, in_front).figures

    assert figures["answers"] == {"200": 1000}
    assert figures["again"] == 1
    assert figures["before"] + 16 <= figures["peak"] <= 64 - 10
    assert figures["left"] <= 0
