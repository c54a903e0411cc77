"""The pytest plugin in test runs of its own: what leaks fails with its line, all else passes."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no list of descriptors"),
]

IMPORTS = """
import asyncio, os, socket, sqlite3, subprocess, sys, tempfile, threading, time
import pytest
keep = []
forever = threading.Event()
"""


@pytest.fixture
def run(tmp_path):
    """Write a file of tests, and run pytest over it; gives the outcome of each, and all that it said."""

    def run_pytest(tests, *options, ini="", code=1):
        (tmp_path / "test_it.py").write_text(IMPORTS + tests)
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
            f"addopts = -p no:randomly -p no:cacheprovider\n{ini}"
        )
        answer = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-m", "pytest", "--junitxml=out.xml", "-q", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
        )
        assert answer.returncode == code, answer.stdout + answer.stderr
        if code not in {0, 1}:
            return {}, answer.stdout + answer.stderr
        told = {}
        for case in ET.parse(tmp_path / "out.xml").getroot().iter("testcase"):  # noqa: S314 - written by our own run
            bad = [*case.iter("error"), *case.iter("failure")]
            told[case.get("name")] = "\n".join(each.text or "" for each in bad)
        return told, answer.stdout

    return run_pytest


LEAKS = {
    "thread": (
        """
def test_thread():
    threading.Thread(target=forever.wait, daemon=True, name="worker-7").start()
""",
        r"thread worker-7 .*\n +made at test_it.py:{line} in test_thread",
        2,
    ),
    "task": (
        """
async def main():
    keep.append(asyncio.create_task(asyncio.sleep(60)))
def test_task():
    asyncio.run(main())
""",
        r"task sleep .*still running when its loop ended.*\n +made at test_it.py:{line} in main",
        2,
    ),
    "task of an async test": (
        """
async def test_async():
    keep.append(asyncio.create_task(asyncio.sleep(60)))
    await asyncio.sleep(0)
""",
        r"task sleep .*\n +made at test_it.py:{line} in test_async",
        2,
    ),
    "child": (
        """
def test_child():
    keep.append(subprocess.Popen(["sleep", "5"]))
""",
        r"child sleep 5 \(pid \d+\)\n +made at test_it.py:{line} in test_child",
        2,
    ),
    "zombie": (
        """
def test_zombie():
    keep.append(one := subprocess.Popen(["true"]))
    os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
""",
        r"child true .*ended and not waited for\)\n +made at test_it.py:{line} in test_zombie",
        2,
    ),
    "forked child": (
        """
def test_fork():
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "5"])
""",
        r"child sleep 5 \(pid \d+\)\n +made at test_it.py:{line} in test_fork",
        2,
    ),
    "file": (
        """
def test_file():
    keep.append(open(__file__))
""",
        r"descriptor file .*/test_it.py \(fd \d+\)\n +made at test_it.py:{line} in test_file",
        2,
    ),
    "raw descriptor after another under its number": (
        """
def test_raw():
    with open(os.devnull): pass
    keep.append(os.open(__file__, os.O_RDONLY))
""",
        r"descriptor file .*/test_it.py \(fd \d+\)\n +made at test_it.py:{line} in test_raw",
        3,
    ),
    "pipe": (
        """
def test_pipe():
    keep.append(os.pipe())
""",
        r"descriptor pipe \(fd \d+\)\n +made at test_it.py:{line} in test_pipe",
        2,
    ),
    "socket with its peer": (
        """
def test_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        keep.append(socket.create_connection(server.getsockname()))
        server.accept()[0].close()
""",
        r"socket tcp CLOSE_WAIT to 127.0.0.1:\d+ \(fd \d+\)\n +made at test_it.py:{line} in test_socket",
        3,
    ),
    "database": (
        """
def test_database(tmp_path):
    keep.append(sqlite3.connect(tmp_path / "s.db"))
    keep[-1].execute("CREATE TABLE t (a)")
""",
        r"descriptor file .*/s.db \(fd \d+\)\n +made at test_it.py:{line} in test_database",
        2,
    ),
    "loop": (
        """
def test_loop():
    keep.append(asyncio.new_event_loop())
""",
        r"descriptor epoll \(fd \d+\)\n +made at test_it.py:{line} in test_loop",
        2,
    ),
    "by a library in a task of its own": (
        """
async def test_client():
    reached = asyncio.Event()
    async def serve(reader, writer):
        reached.set()
        writer.close()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        keep.append(socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())))
        await reached.wait()
        writer.close()
        await writer.wait_closed()
""",
        r"socket tcp \w+ .*\n +made at test_it.py:{line} in test_client",
        9,
    ),
}


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="kinds and children are read in /proc"
)
def test_each_kind_of_leak_fails_its_test_with_the_line_that_made_it(run):
    """All in one run, one after the other: no test is blamed for another."""
    programs = [program for program, _, _ in LEAKS.values()]
    told, out = run("".join(programs), "--holdfast")

    before = IMPORTS
    for program, pattern, place in LEAKS.values():
        test = re.search(r"def (test_\w+)", program)[1]
        line = before.count("\n") + place + 1
        assert re.search(pattern.format(line=line), told[test]), told[test]
        before += program
    assert len([each for each in told.values() if each]) == len(LEAKS), out


PASSING = """
def test_nothing():
    pass
def test_closes_everything(tmp_path):
    with open(tmp_path / "a", "w"), socket.socket(), sqlite3.connect(tmp_path / "b"):
        subprocess.run(["true"], check=True)
    one = threading.Thread(target=int)
    one.start()
    one.join()
def test_a_thread_that_is_about_to_end():
    threading.Thread(target=time.sleep, args=(0.2,)).start()
def test_a_cycle_that_only_the_garbage_collector_frees():
    one = [open(__file__)]
    one.append(one)
async def test_waits_for_its_tasks():
    await asyncio.create_task(asyncio.sleep(0))
def test_the_first_loop_of_uvloop():
    uvloop = pytest.importorskip("uvloop")
    async def main():
        await asyncio.sleep(0)
    uvloop.run(main())
def test_a_pool_of_processes():
    import concurrent.futures
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(abs, range(3)))
class TestOfUnittest(__import__("unittest").TestCase):
    @classmethod
    def setUpClass(cls):
        cls.socket = socket.socket()
    @classmethod
    def tearDownClass(cls):
        cls.socket.close()
    def test_the_class_holds_it(self):
        pass
@pytest.fixture
def served():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server
def test_a_fixture_closes(served):
    pass
@pytest.fixture(scope="session")
def for_all():
    with open(__file__) as file:
        thread = threading.Thread(target=forever.wait, daemon=True)
        thread.start()
        child = subprocess.Popen(["sleep", "20"])
        yield file
        child.kill()
        child.wait()
    forever.set()
    thread.join()
def test_a_fixture_of_a_wider_scope(for_all):
    pass
def test_one_that_is_asked_for_in_the_test(request):
    request.getfixturevalue("for_all")
"""


def test_what_closes_what_it_opens_passes(run):
    """Fixtures of all scopes, threads on their way out, and garbage."""
    told, _ = run(PASSING, "--holdfast", code=0)

    assert set(told.values()) == {""}
    assert len(told) == 11


FILE = "\ndef test_file():\n    keep.append(open(__file__))\n"


def test_without_being_asked_nothing_is_checked_or_imported(run):
    """Not even the package."""
    told, _ = run(
        FILE
        + "def test_imports():\n    assert not any(name.startswith('holdfast') for name in sys.modules)\n",
        code=0,
    )

    assert set(told.values()) == {""}


def test_a_marker_asks_for_one_test(run):
    """The other one may leak."""
    told, _ = run(
        FILE + "@pytest.mark.holdfast\ndef test_marked():\n    keep.append(open(os.devnull))\n"
    )

    assert told["test_file"] == ""
    assert "descriptor device /dev/null" in told["test_marked"]


def test_the_ini_file_asks_for_all(run):
    """As the option does."""
    told, _ = run(FILE, ini="holdfast = true")

    assert "left 1 thing behind" in told["test_file"]


ALLOWED = """
@pytest.mark.holdfast(allow={"descriptor file */test_it.py": "read by all tests"})
def test_allowed():
    keep.append(open(__file__))
@pytest.mark.holdfast(skip="it is about leaking")
def test_skipped():
    keep.append(open(os.devnull))
def test_by_the_ini_file():
    threading.Thread(target=forever.wait, daemon=True, name="metrics-1").start()
"""


def test_what_is_allowed_with_a_reason_may_stay(run):
    """By the marker for one test, by the ini file for all."""
    told, _ = run(
        ALLOWED, "--holdfast", ini="holdfast_allow =\n    thread metrics-*: one for all", code=0
    )

    assert set(told.values()) == {""}


@pytest.mark.parametrize(
    "line", ["thread metrics-*", "thread metrics-*: ", "thing x: why", "thread: why"]
)
def test_an_entry_without_a_reason_is_refused(run, line):
    """Before any test runs."""
    _, said = run(FILE, "--holdfast", ini=f"holdfast_allow =\n    {line}", code=4)

    assert "one for the whole process" in said


def test_a_wrong_marker_is_told(run):
    """With what it takes."""
    told, _ = run("\n@pytest.mark.holdfast(alow={})\ndef test_it():\n    pass\n", "--holdfast")

    assert "takes allow=" in told["test_it"]


def test_a_test_that_has_failed_is_not_blamed_for_what_its_traceback_keeps(run):
    """Its own failure is what counts."""
    told, _ = run(
        "\ndef test_it():\n    file = open(__file__)\n    assert not file\n", "--holdfast"
    )

    assert "left" not in told["test_it"]


def test_what_was_wrapped_is_as_before_afterwards(run):
    """And names stay what they were while the check runs."""
    told, _ = run(
        """
def test_it(tmp_path):
    assert os.open in os.supports_dir_fd
    assert open.__name__ == "open"
    import io
    assert io.open is open
    with open(tmp_path / "x", "wb", 0) as file:
        assert isinstance(file, io.RawIOBase)
    assert isinstance(socket.socket(), socket.socket)
""",
        "--holdfast",
        code=0,
    )

    assert told == {"test_it": ""}
