"""``holdfast.explain`` where something has really run out."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def run(program, **options):
    """Run a program that tells one record."""
    answer = subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **options,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_without_a_descriptor_left_it_is_imported_and_names_what_holds_them(tmp_path):
    """Asked for the first time in the handler; the limit is as before."""
    told = run(
        """
import json, os, resource, holdfast
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 200))
held = []
try:
    while True: held.append(open("agent.log", "a"))
except OSError as error:
    told = holdfast.explain(error)
print(json.dumps(told.to_dict() | {"limit": resource.getrlimit(resource.RLIMIT_NOFILE)}))
""",
        cwd=tmp_path,
    )

    assert told["resource"] == "descriptors"
    assert told["reading"]["left"] == 0
    codes = {each["code"]: each["evidence"] for each in told["findings"]}
    assert next(iter(codes)) == "descriptors-nearly-used-up"
    assert codes["duplicated-log"][0].startswith(str(tmp_path / "agent.log"))
    assert told["limit"] == [80, 200]


def test_where_the_limit_can_not_be_raised_the_error_says_what_to_do():
    """And a program that has imported it at its start is told all the same."""
    told = run("""
import json, os, resource, holdfast
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
held, said = [], {}
if os.geteuid() == 0:
    os.setgid(54321); os.setuid(54321)  # root may raise the hard limit
try:
    while True: held.append(os.open("/", os.O_RDONLY))
except OSError as error:
    try:
        holdfast.explain
    except OSError as refused:
        said["notes"] = refused.__notes__
for _ in range(30): os.close(held.pop())
print(json.dumps(said))
""")

    assert told["notes"] == [
        "Import it at the start of the program: `from holdfast import explain`."
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes a user of its own: takes root")
def test_a_refused_child_and_a_refused_thread_are_explained():
    """By RLIMIT_NPROC, of a user of whom nobody else has a process."""
    told = run("""
import json, os, resource, subprocess, threading
from holdfast import explain
os.setgid(54322); os.setuid(54322)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
said = []
try: subprocess.run(["true"])
except OSError as error: said.append(explain(error).to_dict())
try: threading.Thread(target=print).start()
except RuntimeError as error: said.append(explain(error).to_dict())
print(json.dumps(said))
""")

    assert [each["resource"] for each in told] == ["processes", "threads"]
    assert all(
        "RLIMIT_NPROC: 1 of 1 held by user 54322" in each["reading"]["source"] for each in told
    )
    assert all(each["reading"]["left"] == 0 for each in told)


def test_a_pool_of_connections_that_is_lent_out_is_explained():
    """As httpx raises it; the connections to the peer are counted."""
    told = run("""
import asyncio, json, httpx
from holdfast import explain
from holdfast.testing import ModelServer
async def hold(reader, writer):
    await reader.read()
async def main():
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(20, pool=0.05)) as client:
        first = asyncio.create_task(client.get(url))
        await asyncio.sleep(0.1)
        try:
            await client.get(url)
        except httpx.PoolTimeout as error:
            print(json.dumps(explain(error).to_dict()))
        first.cancel()
    server.close()
asyncio.run(main())
""")

    assert told["resource"] == "connections"
