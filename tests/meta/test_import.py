"""``import holdfast`` is light: what it loads, in an interpreter of its own."""

import json
import os
import subprocess
import sys

import pytest

FORBIDDEN = [
    "anthropic",
    "anyio",
    "click",
    "holdfast.cli",
    "holdfast.testing",
    "http.client",
    "http.server",
    "httpx",
    "multiprocessing",
    "openai",
    "rich",
    "sqlite3",
    "ssl",
    "urllib.request",
    "uvloop",
]


def _loaded_by(statement):
    """The modules that a fresh interpreter has after one statement."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV", "PYTEST", "PYTHONSTARTUP"))
    }
    program = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(answer.stdout))


@pytest.mark.system
def test_importing_the_package_loads_nothing_heavy():
    """Of what is heavy only what asyncio itself loads, which is the core (``ssl``, where it is)."""
    by_asyncio = _loaded_by("import asyncio, concurrent.futures")

    loaded = _loaded_by("import holdfast") - by_asyncio

    assert "holdfast.pools" in loaded
    assert not loaded & set(FORBIDDEN)


@pytest.mark.system
def test_the_package_for_tests_loads_its_parts_when_they_are_asked_for():
    """Who imports the fake clock does not load a web server."""
    loaded = _loaded_by("from holdfast.testing import FakeClock")

    assert "holdfast.testing.clock" in loaded
    assert "holdfast.testing.model_server" not in loaded
