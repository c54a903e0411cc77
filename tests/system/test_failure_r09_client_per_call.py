"""A client for each request, or for each agent, that nobody closes.

From litellm #13220, garak #1466 and openai-python #933: forty clients that a registry keeps are forty
descriptors, and forty more if each ``asyncio.run`` makes its own; each takes 30 ms and 700 KB to make.
"""

import pytest
from tests.system.failure_programs import run_program

from holdfast.testing import ModelServer

pytestmark = pytest.mark.system

PROGRAM = """
import asyncio, gc, os, sys
import holdfast
from tests.system.failure_programs import report

url, how = sys.argv[1:]
N = 40
CALL = dict(model="m", messages=[{"role": "user", "content": "q"}])
kept = []

def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))

def client():
    return holdfast.http.openai("agents", base_url=url, api_key="x", max_retries=0)

async def an_agent_each():                        # each asks for a client, and keeps it
    for _ in range(N):
        kept.append(client())
        await kept[-1].chat.completions.create(**CALL)
    return descriptors()

async def one():
    kept.append(client())
    await kept[-1].chat.completions.create(**CALL)

async def all_at_once():                          # no more connections than the limit
    calls = (client().chat.completions.create(**CALL) for _ in range(N))
    await asyncio.gather(*calls)
    return descriptors()

asyncio.run(one())                                # what is loaded once
before = descriptors()
if how == "agents":
    during = asyncio.run(an_agent_each())
elif how == "at once":
    during = asyncio.run(all_at_once())
else:
    for _ in range(N):
        asyncio.run(one())
    during = descriptors()
report(during=during - before, after=descriptors() - before, kept=len(kept))
"""


@pytest.fixture(scope="module")
def server():
    """One model server, in a process of its own, so that its descriptors are its own."""
    with ModelServer() as running:
        yield running


def test_forty_agents_that_keep_their_clients_share_one_connection(server):
    """They called one after the other; a loop itself has a few descriptors."""
    figures = run_program(PROGRAM, server.openai_base_url, "agents").figures

    assert figures["kept"] == 41
    assert figures["during"] <= 8
    assert figures["after"] == 0


def test_forty_loops_leave_nothing(server):
    """Each ``asyncio.run`` closes its own connections, though the clients are kept."""
    figures = run_program(PROGRAM, server.openai_base_url, "loops").figures

    assert figures["kept"] == 41
    assert figures["after"] == 0


def test_forty_calls_at_once_leave_nothing(server):
    """While they run, a connection each at most; then none."""
    figures = run_program(PROGRAM, server.openai_base_url, "at once").figures

    assert figures["during"] <= 40 + 8
    assert figures["after"] == 0
