"""What a store of outcomes knows after its process was killed at any moment."""

import signal
import subprocess
import sys
import textwrap

import pytest

from holdfast.errors import Aborted
from holdfast.flow.idempotency import Idempotent, SQLiteStore

pytestmark = pytest.mark.system

PROGRAM = """
    import sys
    from holdfast.flow.idempotency import Idempotent, SQLiteStore

    def work(n):
        print(f"runs {n}", flush=True)
        if n == int(sys.argv[2]):
            sys.stdin.read()  # until it is killed
        return n * n

    calls = Idempotent(SQLiteStore(sys.argv[1]))
    for n in range(10):
        calls.run_sync(f"item-{n}", work, n)
"""


@pytest.mark.parametrize("moment", [0, 4, 9])
def test_after_a_kill_each_key_is_known_for_what_it_was(tmp_path, moment):
    """Done, started, or unknown; what was done is not done again, and what was started is told."""
    path = tmp_path / "calls.db"
    with subprocess.Popen(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path), str(moment)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        for line in child.stdout:
            if line == f"runs {moment}\n":
                break
        child.send_signal(signal.SIGKILL)
        child.wait(20)

    ran = []

    def work(n):
        ran.append(n)
        return n * n

    with SQLiteStore(path) as store, Idempotent(store) as calls:
        for n in range(moment):
            assert calls.run_sync(f"item-{n}", work, n) == n * n
        with pytest.raises(Aborted, match=f"process {child.pid} on "):
            calls.run_sync(f"item-{moment}", work, moment)
        assert ran == []
        for n in range(moment + 1, 10):
            assert calls.run_sync(f"item-{n}", work, n) == n * n

    assert ran == list(range(moment + 1, 10))
    with SQLiteStore(path) as store, Idempotent(store, unfinished="repeat") as calls:
        assert calls.run_sync(f"item-{moment}", work, moment) == moment * moment
        assert store.get(f"item-{moment}").attempt == 2


RACE = """
    import sys
    from holdfast.flow.idempotency import Record, SQLiteStore

    store = SQLiteStore(sys.argv[1])
    sys.stdin.readline()
    print(sum(not isinstance(store.begin(str(n)), Record) for n in range(50)))
    store.close()
"""


def test_one_of_several_processes_gets_each_key(tmp_path):
    """They begin fifty keys at the same time."""
    path = tmp_path / "calls.db"
    SQLiteStore(path).close()
    children = [
        subprocess.Popen(  # noqa: S603 - see above
            [sys.executable, "-c", textwrap.dedent(RACE), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    claims = [int(child.communicate(timeout=40)[0]) for child in children]

    assert sum(claims) == 50
