"""ThreadPool in the place of the standard executor: CPython's own tests, and event loops."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("executor_suite.py")

LEFT_OUT = {
    # They run a script in an interpreter of its own that imports the class by its name from
    # concurrent.futures; tests/system/test_closing.py has what they show, with this pool.
    "test_interpreter_shutdown": "imports the executor by name in a fresh interpreter",
    "test_submit_after_interpreter_shutdown": "imports the executor by name in a fresh interpreter",
    "test_hang_gh83386": "imports the executor by name in a fresh interpreter",
    # What they assert is not the protocol of an executor but how the standard one is made.
    "test_hang_global_shutdown_lock": "the standard module's global lock, after a fork",
    "test_thread_names_default": "the name ThreadPoolExecutor-N_n; ours is holdfast:<pool>/n",
}


@pytest.mark.system
@pytest.mark.timeout(180)
def test_the_interpreters_own_executor_tests_pass():
    """All but those above, each with its reason."""
    if importlib.util.find_spec("test") is None or not importlib.util.find_spec(
        "test.test_concurrent_futures"
    ):
        pytest.skip("this interpreter has no test.test_concurrent_futures")
    ended = subprocess.run(  # noqa: S603 - this very interpreter and our own program
        [sys.executable, "-W", "ignore", str(PROGRAM), *LEFT_OUT],
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert ended.returncode == 0, ended.stderr

    said = json.loads(ended.stdout.splitlines()[-1])
    wrong = {name: what for name, what in said.items() if what != "ok"}

    assert len(said) >= 50
    assert {k: v for k, v in wrong.items() if not v.startswith("skipped: ")} == {}


SHARED = """
import asyncio, sys
from holdfast import ThreadPool

make = None
if sys.argv[1] == "uvloop":
    import uvloop
    make = uvloop.new_event_loop

async def main(pool):
    asyncio.get_running_loop().set_default_executor(pool)
    return await asyncio.to_thread(pow, 2, 5)

with ThreadPool(2) as pool:
    for _ in range(2):
        with asyncio.Runner(loop_factory=make) as runner:
            assert runner.run(main(pool)) == 32
    loop = (make or asyncio.new_event_loop)()
    assert loop.run_until_complete(main(pool)) == 32
    loop.close()
    assert pool.submit(int).result(20) == 0
print("still open")
"""


@pytest.mark.system
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_pool_serves_as_default_executor_of_one_loop_after_another(kind):
    """A loop that closes shuts its default executor down; whoever made the pool closes it."""
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    ended = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", SHARED, kind],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert (ended.stdout, ended.stderr) == ("still open\n", "")
