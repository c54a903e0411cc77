"""``holdfast run`` around programs that are ended by a signal: the report, and the end of a plain run."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.test_run import RUN, run, written

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="arms signals as glibc can"),
]

ENDING = [signal.SIGTERM, signal.SIGHUP]
WAIT = 30.0

SLEEPS = """
    import threading
    kept = [open("/dev/null") for _ in range(30)]
    def sleep():
        print("ready", flush=True)
        threading.Event().wait(60)
    sleep()
"""


def struck(folder: Path, source: str, number: int, *options: str) -> tuple[int, str, str]:
    """Run a program and send it a signal once it has said a line; status, later output, errors."""
    path = written(folder, source)
    command = [*RUN, "--report", "r", *options, str(path)]
    with subprocess.Popen(  # noqa: S603 - a program of our own
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT)
    return process.returncode, out, err


def report(folder: Path) -> dict:
    return json.loads((folder / "r.json").read_text())


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_without_a_handler_leaves_a_report_and_ends_the_program(tmp_path, number):
    """The status is that of the signal; the stacks are those of its moment, and the line is named."""
    status, _, _ = struck(tmp_path, SLEEPS, number)

    assert status == -number
    found = report(tmp_path)
    assert found["reason"] == number.name
    assert 'program.py", line 7 in <module>' in found["stacks"]
    assert "program.py:3" in str(found["findings"])


def test_a_busy_program_is_ended_too(tmp_path):
    """Python code that never waits keeps the interpreter busy, and not for itself alone."""
    status, _, _ = struck(tmp_path, "print('ready', flush=True)\nwhile True: pass", signal.SIGTERM)

    assert status == -signal.SIGTERM
    assert report(tmp_path)["reason"] == "SIGTERM"


def test_the_programs_handler_wins_and_it_is_told_that_there_was_none(tmp_path):
    """``getsignal`` and what ``signal.signal`` returns are those of a plain run."""
    status, out, err = struck(
        tmp_path,
        """
        import signal, sys
        found = signal.getsignal(15)
        before = signal.signal(15, lambda *_: sys.exit(f"mine {found!r} {before!r}"))
        signal.signal(1, signal.SIG_IGN)
        signal.raise_signal(1)
        print("ready", flush=True)
        signal.pause()
        """,
        signal.SIGTERM,
    )

    assert (status, out, err) == (1, "", "mine <Handlers.SIG_DFL: 0> <Handlers.SIG_DFL: 0>\n")
    assert report(tmp_path)["reason"] == "exit"


@pytest.mark.parametrize("send", ["signal.raise_signal(15)", "os.kill(os.getpid(), 15)"])
def test_a_program_that_puts_the_default_back_and_strikes_itself_runs_no_further(tmp_path, send):
    """As servers do that have shut down in a handler of their own."""
    path = written(
        tmp_path,
        f"""
        import os, signal, time
        before = signal.signal(15, lambda *_: print("mine", flush=True))
        signal.raise_signal(15)
        signal.signal(15, before)
        {send}
        print("further", flush=True)
        """,
    )
    done = run(tmp_path, "--report", "r", str(path))

    assert (done.returncode, done.stdout) == (-15, "mine\n")
    assert report(tmp_path)["reason"] == "SIGTERM"


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    """``nohup`` has SIGHUP ignored before the program begins."""
    path = written(
        tmp_path,
        "import os, signal; os.kill(os.getpid(), 1); print(signal.getsignal(1).name)",
    )
    done = run(tmp_path, str(path), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))

    assert (done.returncode, done.stdout) == (0, "SIG_IGN\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_handler_of_the_program_outlives_a_fork(tmp_path, number):
    """Taking ours away in the child takes nobody else's away."""
    path = written(
        tmp_path,
        f"""
        import os, signal, sys
        signal.signal({int(number)}, lambda *_: os._exit(7))
        if not (child := os.fork()):
            os.kill(os.getpid(), {int(number)})
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )

    assert run(tmp_path, str(path)).stdout == "7\n"


def test_a_forked_child_dies_of_a_signal_as_ever(tmp_path):
    """It is not guarded, and leaves no report."""
    path = written(
        tmp_path,
        """
        import os, signal
        if not (child := os.fork()):
            os.kill(os.getpid(), 15)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    done = run(tmp_path, "--report", "r", str(path))

    assert done.stdout == "-15\n"
    assert report(tmp_path)["reason"] == "exit"


def test_a_second_signal_ends_what_keeps_the_interpreter_for_good(tmp_path):
    """C code that lets no thread run holds up the first one, and no other."""
    path = written(
        tmp_path,
        "import itertools; print('ready', flush=True); sum(itertools.repeat(1, 10**13))",
    )
    with subprocess.Popen(  # noqa: S603 - a program of our own
        [*RUN, str(path)], cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)

        assert process.wait(WAIT) == -signal.SIGTERM


def test_a_signal_that_the_program_waits_for_is_not_taken_by_a_thread_of_ours(tmp_path):
    """It blocks the signal in its only thread; none of the guard's is there to get it."""
    status, out, _ = struck(
        tmp_path,
        """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {15})
        print("ready", flush=True)
        print(signal.sigwait({15}))
        """,
        signal.SIGTERM,
    )

    assert (status, out) == (0, "15\n")


def test_an_interrupt_ends_as_ever_with_a_report(tmp_path):
    """KeyboardInterrupt, its traceback, and the status of the signal."""
    status, _, err = struck(tmp_path, SLEEPS, signal.SIGINT)

    assert status == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert report(tmp_path)["reason"] == "exit"


def test_observed_a_signal_ends_the_program_at_once_and_nothing_is_armed(tmp_path):
    """Nothing is changed, so there is no report."""
    status, _, err = struck(tmp_path, SLEEPS, signal.SIGTERM, "--observe")

    assert status == -signal.SIGTERM
    assert not (tmp_path / "r.json").exists()
    assert err == ""


@pytest.mark.parametrize(
    ("crash", "number"),
    [("faulthandler._sigsegv()", signal.SIGSEGV), ("os.abort()", signal.SIGABRT)],
)
def test_a_crash_in_c_code_leaves_the_stacks_and_its_status(tmp_path, crash, number):
    """Nothing of Python can run then; the handler of ``faulthandler`` can."""
    path = written(
        tmp_path,
        f"""
        import faulthandler, os, resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        def crash():
            {crash}
        crash()
        """,
    )
    done = run(tmp_path, str(path))
    observed = run(tmp_path, "--observe", str(path))

    assert done.returncode == observed.returncode == -number
    assert 'program.py", line 5 in crash' in done.stderr
    assert observed.stderr == ""


def test_what_the_program_has_chosen_for_crashes_stays(tmp_path):
    """``PYTHONFAULTHANDLER`` and ``faulthandler.enable`` are the program's own."""
    path = written(
        tmp_path,
        """
        import faulthandler, resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        file = open("crash.txt", "w")
        faulthandler.enable(file)
        faulthandler._sigsegv()
        """,
    )
    done = run(tmp_path, str(path))

    assert (done.returncode, done.stderr) == (-signal.SIGSEGV, "")
    assert "program.py" in (tmp_path / "crash.txt").read_text()
