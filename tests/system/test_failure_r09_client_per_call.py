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


BLOCKING = """
import asyncio, gc, os, sys
from concurrent.futures import ThreadPoolExecutor, wait
import holdfast
from tests.system.failure_programs import report

url, = sys.argv[1:]
N, THREADS = 40, 8
CALL = dict(model="m", messages=[{"role": "user", "content": "q"}])
BODY = {**CALL, "stream": False}
kept = []

def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))

def sync_dropped():                               # each call asks for a client, and drops it
    sdk = holdfast.http.blocking.openai("agents", base_url=url, api_key="x", max_retries=0)
    return sdk.chat.completions.create(**CALL).choices[0].message.role == "assistant"

def sync_kept():                                  # each call asks for a client, and keeps it
    kept.append(holdfast.http.blocking.openai("agents", base_url=url, api_key="x", max_retries=0))
    return kept[-1].chat.completions.create(**CALL).choices[0].message.role == "assistant"

def bare_kept():                                  # without an SDK
    kept.append(holdfast.http.blocking.httpx("bare", trust_env=False))
    return kept[-1].post(f"{url}/chat/completions", json=BODY).is_success

async def one():
    kept.append(holdfast.http.openai("agents", base_url=url, api_key="x", max_retries=0))
    await kept[-1].chat.completions.create(**CALL)
    return True

async def httpx_async_dropped():
    for _ in range(N):
        answer = await holdfast.http.httpx("bare", trust_env=False).post(f"{url}/chat/completions", json=BODY)
        assert answer.is_success
    return N

def in_turn(fn):
    return sum(fn() for _ in range(N))

def in_threads(fn):
    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(lambda _: fn(), range(N)))

def grow(work):
    before = descriptors()
    answered = work()
    return answered, descriptors() - before

sync_kept(), bare_kept(), asyncio.run(one())      # what is loaded once, and one connection each
grown = {
    "sync_dropped": grow(lambda: in_turn(sync_dropped)),
    "sync_kept": grow(lambda: in_turn(sync_kept)),
    "bare_kept": grow(lambda: in_turn(bare_kept)),
    "sync_dropped_in_threads": grow(lambda: in_threads(sync_dropped)),
    "sync_kept_in_threads": grow(lambda: in_threads(sync_kept)),
    "bare_kept_in_threads": grow(lambda: in_threads(bare_kept)),
    "async_across_loops": grow(lambda: in_turn(lambda: asyncio.run(one()))),
    "httpx_async_dropped": grow(lambda: asyncio.run(httpx_async_dropped())),
}
open_now = descriptors()
shared = len(holdfast.http.blocking.stats())
holdfast.http.blocking.close()
report(grown=grown, shared=shared, closed=open_now - descriptors(), kept=len(kept))
"""


def test_the_whole_program_rewritten_ends_with_no_descriptor_more(server):
    """Forty calls in each of its ways, clients dropped or kept, in turn or in eight threads."""
    figures = run_program(BLOCKING, server.openai_base_url).figures

    grown = figures["grown"]
    assert {way: answered for way, (answered, _) in grown.items()} == dict.fromkeys(grown, 40)
    in_turn = {way: more for way, (_, more) in grown.items() if not way.endswith("threads")}
    assert in_turn == dict.fromkeys(in_turn, 0)
    # Eight threads at once have at most eight connections, of which one was there; more calls need no more.
    assert all(more <= 7 for _, more in grown.values())
    assert figures["shared"] == 2
    assert figures["kept"] > 160
    assert 2 <= figures["closed"] <= 16


FORKED = """
import os, sys
import holdfast
from tests.system.failure_programs import report

url, = sys.argv[1:]

def get(client):
    return client.get(f"{url}/stats").is_success

parents = holdfast.http.blocking.httpx("model", trust_env=False)
answered = get(parents)
child = os.fork()
if child == 0:
    try:
        get(parents)
    except holdfast.PoolClosed as refusal:
        refused = "belongs to the parent" in str(refusal)
    else:
        refused = False
    own = holdfast.http.blocking.httpx("model", trust_env=False)
    os._exit(0 if refused and own is not parents and get(own) else 1)
_, status = os.waitpid(child, 0)
report(answered=answered, child=os.waitstatus_to_exitcode(status), after=get(parents))
"""


def test_a_child_after_a_fork_has_clients_of_its_own(server):
    """Two processes on one connection would read each other's answers."""
    figures = run_program(FORKED, server.base_url).figures

    assert figures == {"answered": True, "child": 0, "after": True}
