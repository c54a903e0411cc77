"""The socket on which a program shows itself: for its own user, and never to its harm."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import holdfast
from holdfast._core import clock
from holdfast.watch import Monitor, NotServed, ask, serve, serving
from holdfast.watch._meeting import LONGEST_REQUEST

pytestmark = pytest.mark.system

WAIT = 20.0


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A place of the test's own, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hf") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield Path(short) / f"holdfast-{os.getuid()}" / "served"


def asked(path, request):
    """Send bytes to a socket, and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WAIT)
        connection.connect(str(path))
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_another_process_is_told_the_snapshot_and_the_stacks():
    """What ``holdfast top`` shows."""
    code = (
        "import sys, json\n"
        "from holdfast.watch import ask\n"
        "pid = int(sys.argv[1])\n"
        "print(json.dumps([ask(pid, 'snapshot'), ask(pid, 'stacks')]))\n"
    )
    with holdfast.ThreadPool(2, name="serving-db") as pool, Monitor(serve=True):
        pool.submit(pow, 2, 2).result()
        done = subprocess.run(  # noqa: S603 - a program of our own
            [sys.executable, "-c", code, str(os.getpid())],
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT,
        )

    snapshot, stacks = json.loads(done.stdout)
    assert snapshot["pid"] == os.getpid()
    assert "serving-db" in [each["stats"]["name"] for each in snapshot["pools"]]
    assert snapshot["monitor"]["samples"] >= 1
    assert "MainThread" in {each["name"] for each in stacks["threads"]}


def test_the_folder_and_the_socket_are_closed_to_others(folder):
    """Also a folder that was open before."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    folder.parent.chmod(0o755)

    with serve() as shown:
        modes = [each.stat().st_mode & 0o777 for each in (folder.parent, folder, shown.path)]

    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be somebody else")
def test_another_user_gets_no_answer(folder):
    """Not through the folder, and not if the folder were open, as who asks is looked at."""
    code = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "connection = socket.socket(socket.AF_UNIX)\n"
        "try:\n"
        "    connection.connect(sys.argv[1])\n"
        "    connection.sendall(b'snapshot\\n')\n"
        "    print(connection.recv(1000).decode())\n"
        "except PermissionError:\n"
        "    print('closed')\n"
    )

    def tried(path):
        command = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT)  # noqa: S603
        return done.stdout.strip()

    with serve() as shown:
        assert tried(shown.path) == "closed"
        for each in (folder.parent.parent, folder.parent, folder, shown.path):
            each.chmod(0o777)
        assert json.loads(tried(shown.path)) == {
            "error": "user 65534 may not look at a process of 0"
        }


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be somebody else")
def test_a_folder_of_somebody_else_is_not_used(folder):
    """Whoever made it could read along."""
    folder.parent.mkdir()
    os.chown(folder.parent, 65534, 65534)

    with pytest.raises(PermissionError, match="belongs to user 65534"):
        serve()

    with Monitor(serve=True) as monitor:  # logged, and the program goes on
        assert monitor.sample().pid == os.getpid()
        assert "belongs to user 65534" in monitor.stats().last_failure


def test_what_killed_processes_have_left_is_cleared_away(folder):
    """And the socket of one that lives is not."""
    code = (
        "import time\n"
        "from holdfast.watch import serve\n"
        "print(serve().path, flush=True)\n"
        "time.sleep(60)\n"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: S603
        for _ in range(2)
    ]
    killed, living = (Path(each.stdout.readline().strip()) for each in programs)
    programs[0].kill()
    programs[0].wait(WAIT)
    assert killed.exists()

    with serve() as shown:
        names = {path.name for path in folder.iterdir()}
    programs[1].kill()
    for each in programs:
        each.communicate(timeout=WAIT)

    assert names == {shown.path.name, living.name}
    with pytest.raises(NotServed):
        ask(programs[1].pid, "snapshot")  # its socket is there, and nobody answers


def test_the_socket_ends_with_the_program(folder):
    """Also if nobody closes it."""
    code = "from holdfast.watch import serve\nprint(serve().path)"
    done = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=WAIT
    )

    assert not Path(done.stdout.strip()).exists()


def test_an_answer_of_another_process_is_not_taken_for_this_ones(folder):
    """A forged socket, or one that a fork has kept."""
    with serve() as shown:
        shown.path.rename(folder / "1.sock")
        with pytest.raises(NotServed, match=f"process {os.getpid()} of user"):
            ask(1, "snapshot")


@pytest.mark.parametrize("request_", [b"", b"rm\n", b"x" * 5000, b"\xff\n", b"snapshot"])
def test_a_strange_request_gets_an_answer_and_does_no_harm(request_):
    """At most 64 bytes of it are read."""
    assert LONGEST_REQUEST == 64
    with serve() as shown:
        with contextlib.suppress(ConnectionResetError):
            answer = json.loads(asked(shown.path, request_) or b"{}")
            assert ("error" in answer) == (request_ != b"snapshot") or not answer
        assert json.loads(asked(shown.path, b"stacks\n"))["threads"]


def test_an_answer_that_fails_is_logged_and_others_are_given(monkeypatch, caplog):
    """One request is not the end of all."""
    monkeypatch.setitem(serving._ANSWERS, "snapshot", lambda: 1 / 0)

    with serve() as shown:
        assert asked(shown.path, b"snapshot\n") == b""
        assert json.loads(asked(shown.path, b"stacks\n"))["threads"]

    assert "could not be answered: division by zero" in caplog.text


def test_one_who_asks_nothing_does_not_hold_up_others_for_long():
    """Each has two seconds."""
    with serve() as shown, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(shown.path))
        assert json.loads(asked(shown.path, b"stacks\n"))["threads"]


def test_it_is_one_socket_for_all_who_want_it():
    """It ends with the last of them."""
    first, second = serve(), serve()
    assert first.path == second.path
    first.close()
    first.close()
    assert asked(second.path, b"stacks\n")

    second.close()
    assert not second.path.exists()
    assert not [each for each in threading.enumerate() if each.name == "holdfast:serve"]

    with serve() as again:
        assert asked(again.path, b"stacks\n")


def test_a_forked_child_serves_nothing_until_it_is_told_to():
    """The parent's goes on, and the child has none of its descriptors."""
    with serve() as shown:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                before = shown.path.exists()
                shown.close()  # the parent's, not the child's
                with serve() as own:
                    told = [before, shown.path.exists(), own.path.name == f"{os.getpid()}.sock"]
                    told.append(bool(asked(own.path, b"stacks\n")))
                os.write(writing, json.dumps(told).encode())
            finally:
                os._exit(0)
        os.close(writing)
        told = json.loads(os.read(reading, 1000) or b"[]")
        os.close(reading)
        os.waitpid(pid, 0)

        assert told == [True, True, True, True]
        assert ask(os.getpid(), "snapshot")["pid"] == os.getpid()


def test_without_a_descriptor_it_is_refused_and_nothing_is_left(folder):
    """Too many open files: an error of the call, none of the program."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = []
    with serve():
        pass  # what is imported on the way is there
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        with contextlib.suppress(OSError):
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            serve()
    finally:
        for each in kept:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert list(folder.iterdir()) == []
    with serve() as shown:
        assert asked(shown.path, b"stacks\n")


def test_a_refused_thread_leaves_nothing(folder, monkeypatch):
    """Neither a socket nor a descriptor, and the monitor only logs it."""

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(serving, "start_thread", refuse)

    with pytest.raises(RuntimeError, match="new thread"):
        serve()

    assert list(folder.iterdir()) == []
    monitor = Monitor(serve=True)
    assert monitor.start()
    monitor.close()
    assert "can't be shown" in monitor.stats().last_failure


def test_signals_of_the_program_are_none_of_the_sockets():
    """A thread that waits on it takes none of them."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(threading.current_thread()))
    try:
        with serve() as shown:
            os.kill(os.getpid(), signal.SIGUSR1)
            clock.sleep(0.05)
            assert asked(shown.path, b"stacks\n")
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == [threading.main_thread()]
