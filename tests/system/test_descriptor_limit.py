"""Where the system allows 64 descriptors: pools wait or are refused before it says "Too many open files"."""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

LIMIT = """
import asyncio, contextlib, errno, logging, os, resource, socket, threading
import holdfast
from holdfast.track import DESCRIPTORS, aopen_bounded, open_bounded, report as opened, start_server
from tests.system.failure_programs import report

def limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

def fds():
    return len(os.listdir("/proc/self/fd")) - 1
"""

POOLS = (
    LIMIT
    + """
errors, peak = [], 0

async def main():
    global peak
    limit()
    pools = [
        holdfast.ResourcePool(lambda: open(os.devnull), max_size=30, name=f"p{n}", timeout=20)
        for n in range(4)
    ]

    async def use(n):
        global peak
        try:
            async with pools[n % 4].borrow() as file:
                peak = max(peak, fds())
                await asyncio.sleep(0.001)
                assert not file.closed
        except Exception as error:
            errors.append(repr(error))

    await asyncio.gather(*(use(n) for n in range(1000)))
    stats = [pool.stats() for pool in pools]
    for pool in pools:
        await pool.aclose()
    report(errors=errors[:3], peak=peak, served=sum(one.served for one in stats),
           failures=sum(one.open_failures for one in stats), drawn=DESCRIPTORS.drawn)

asyncio.run(main())
"""
)

RESERVE = (
    LIMIT
    + """
limit()
import tempfile
folder = tempfile.TemporaryDirectory()
with contextlib.ExitStack() as stack:
    refusal = None
    for n in range(100):
        try:
            owner = f"tool {n % 3}"
            stack.enter_context(open_bounded(lambda: open(os.devnull), timeout=0.01, owner=owner))
        except holdfast.UnderPressure as error:
            refusal = str(error)
            break
    held = fds()
    # At the limit: what has to work works.
    handler = logging.FileHandler(os.path.join(folder.name, "at-the-limit.log"))
    logging.getLogger("x").addHandler(handler)
    logging.getLogger("x").warning("still here")
    found = socket.getaddrinfo("localhost", 80)
    asyncio.new_event_loop().close()
    text = opened()
    handler.close()
folder.cleanup()
report(opened=n, held=held, refusal=refusal, found=len(found), lines=len(text.splitlines()),
       drawn=DESCRIPTORS.drawn)
"""
)

EXHAUSTED = (
    LIMIT
    + """
async def main():
    limit()
    answered = []

    async def answer(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()

    server = await start_server(answer, name="echo")
    port = server.sockets[0].getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    others = []
    with contextlib.suppress(OSError):            # others take every descriptor there is
        while True:
            others.append(os.open(os.devnull, os.O_RDONLY))
    text = opened()                               # needs none
    refusal = None
    try:
        DESCRIPTORS.take(owner="late", timeout=0)
    except holdfast.UnderPressure as error:
        refusal = str(error)
    before = asyncio.get_running_loop().time(), os.times().user + os.times().system
    await asyncio.sleep(0.5)
    spent = os.times().user + os.times().system - before[1]
    waiting = server.stats()
    for fd in others:
        os.close(fd)
    client.sendall(b"hello\\n")
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    said = await loop.sock_recv(client, 100)
    client.close()
    await server.aclose()
    report(refusal=refusal, spent=spent, open_then=waiting.open, said=said.decode(),
           lines=len(text.splitlines()), drawn=DESCRIPTORS.drawn, accepted=server.stats().accepted)

asyncio.run(main())
"""
)

SERVER = (
    LIMIT
    + """
import subprocess, sys

CLIENT = '''
import asyncio, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
async def ask():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(b"hello\\\\n")
    said = await reader.readline()
    writer.close()
    return said == b"hello\\\\n"
async def main():
    print(sum(await asyncio.gather(*(ask() for _ in range(300)))))
asyncio.run(main())
'''

async def main():
    limit()
    peak = 0

    async def answer(reader, writer):
        nonlocal peak
        peak = max(peak, fds())
        line = await reader.readline()
        await asyncio.sleep(0.01)
        writer.write(line)
        await writer.drain()

    async with await start_server(answer, name="echo") as server:
        port = server.sockets[0].getsockname()[1]
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, str(port), stdout=subprocess.PIPE)
        out, _ = await client.communicate()
    report(answered=int(out), peak=peak, stats_open=server.stats().open, refused=server.stats().refused,
           most=server.stats().peak_open)

asyncio.run(main())
"""
)


def test_four_pools_of_thirty_share_what_there_is():
    """1,000 borrowers are all served, and no opening fails."""
    figures = run_program(POOLS).figures

    assert figures["errors"] == []
    assert figures["served"] == 1000
    assert figures["failures"] == 0
    assert figures["peak"] <= 64 - 10
    assert figures["drawn"] == 0


def test_at_the_limit_logging_name_lookups_and_the_report_still_work():
    """The sixteenth part of the limit is not enough, a quarter is; and the refusal names the holders."""
    figures = run_program(RESERVE).figures

    assert 64 - 16 - 2 <= figures["held"] <= 64 - 16
    assert "stay in reserve" in figures["refusal"]
    assert "tool 0" in figures["refusal"]
    assert figures["found"] >= 1
    assert figures["lines"] > figures["opened"]
    assert figures["drawn"] == 0


def test_when_others_have_taken_everything_nothing_spins_and_nothing_is_lost():
    """The client that waits in the backlog is answered when there are descriptors again."""
    figures = run_program(EXHAUSTED).figures

    assert "64 of 64" in figures["refusal"]
    assert figures["open_then"] == 0
    assert figures["spent"] < 0.25  # half a second was waited, and hardly any of it worked
    assert figures["said"] == "hello\n"
    assert figures["accepted"] == 1
    assert figures["drawn"] == 0


def test_a_server_with_64_descriptors_answers_300_clients_at_once():
    """As many as fit are accepted; the others wait in the backlog."""
    figures = run_program(SERVER).figures

    assert figures["answered"] == 300
    assert figures["peak"] <= 64 - 10
    assert figures["refused"] == 0
    assert figures["stats_open"] == 0
