"""The demo from end to end, as `make demo` runs it, only smaller."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "docs_agent" / "demo.py"
WAIT_S = 50
MODEL_VARIABLES = (
    "MODEL_BASE_URL",
    "MODEL_PROTOCOL",
    "MODEL_NAME",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
)

pytestmark = pytest.mark.system


def environment():
    """This environment without a model in it."""
    return {name: value for name, value in os.environ.items() if name not in MODEL_VARIABLES}


def run_demo(*arguments):
    """Run the demo to its end."""
    return subprocess.run(  # noqa: S603 - this Python and the example
        [sys.executable, str(DEMO), *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=WAIT_S,
        check=False,
    )


def free_port():
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def is_served(port):
    """Say whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_forty_sessions_are_answered_from_the_documentation_and_saved(tmp_path):
    """The figures are told, and the files hold what was done."""
    port = free_port()

    done = run_demo("--sessions", "40", "--limit", "10", "--port", str(port), "--keep", tmp_path)

    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    assert len({answer["key"] for answer in answers}) == 40
    assert all(answer["value"]["answer"] for answer in answers)
    exchanges = sqlite3.connect(tmp_path / "exchanges.db")
    saved = exchanges.execute("SELECT count(*) FROM exchange").fetchone()[0]
    exchanges.close()
    assert saved == 40
    assert re.search(r"sessions +40, at most 10 at once", done.stdout)
    for figure in ("time", "threads", "descriptors", "memory", "retrieval"):
        assert re.search(rf"^  {figure} +[0-9.]+", done.stdout, re.MULTILINE), done.stdout
    assert done.stdout.count("  Q: ") == 3
    assert not is_served(port)


async def test_ctrl_c_finishes_what_is_in_flight_and_ends_the_server(tmp_path):
    """The exit code is the one of the signal, and nothing stays behind."""
    port = free_port()
    answers = tmp_path / "answers.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(DEMO), "--port", str(port), "--limit", "2", "--keep", str(tmp_path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while not (answers.exists() and answers.stat().st_size):
                assert process.returncode is None
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    assert process.returncode == 130, said
    assert b"all in flight were finished" in said
    assert answers.read_text(encoding="utf-8").endswith("}\n")
    assert not is_served(port)


def test_a_model_that_is_not_there_is_told_in_one_sentence():
    """With the reason and an exit code that a script can use."""
    url = f"http://127.0.0.1:{free_port()}"

    done = run_demo("--sessions", "3", "--base-url", url)

    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("demo: 3 of 3 sessions failed, 3 of them by: ModelError: no answer from")


def test_a_port_that_is_taken_is_told_in_one_sentence():
    """The demo does not go on without its server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = run_demo("--sessions", "3", "--port", str(port))

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("demo: the model server did not start: it ended")
