"""``holdfast watch``: leaks are told and fail, healthy programs pass, commands keep their exit codes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.system.processes import started

from holdfast._core import clock
from holdfast.cli.main import cli
from holdfast.cli.watch import looks
from holdfast.watch.audit import audit

pytestmark = pytest.mark.system

PROGRAM = str(Path(__file__).with_name("leaking.py"))
WAIT = 30.0


@pytest.fixture(autouse=True)
def interruptible():
    """Who runs the tests in the background may have Ctrl-C ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class QuickClock:
    """A clock of which a second passes in ten milliseconds, and only while somebody waits."""

    def __init__(self):
        self._now = 1000.0

    def now(self):
        return self._now

    def sleep(self, seconds):
        time.sleep(seconds / 100)
        self._now += seconds

    def acquire(self, latch, timeout):
        if timeout is None:
            return latch.acquire()
        if latch.acquire(timeout=timeout / 100):
            return True
        self._now += timeout
        return False


def watched(*args):
    """Run the verb in this process, on a quick clock; its exit code and both outputs.

    It looks at the start and at the end alone: what a look takes would be a second of that clock, in which
    the program leaks on.
    """
    command = cli.get_command(None, "watch")  # type: ignore[arg-type]
    runner = CliRunner()
    with clock.use(QuickClock()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(looks, "_APART_S", math.inf)
        done = runner.invoke(command, list(args), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.stdout, done.stderr


def run(*args, **options):
    return subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-m", "holdfast", "watch", *args],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
        **options,
    )


def test_a_leak_is_told_with_its_forecast_and_fails():
    """The place, the pace and the time that is left; the watch of a process ends there."""
    with started(PROGRAM, "leak", "60") as process:
        code, out, _ = watched("--fail-on", "leak", "--for", "1200", str(process.pid))

    assert code == 1
    assert "descriptors grow" in out
    assert "the limit of 1,500 is reached in about" in out
    assert "device /dev/null" in out
    assert "FAILED on leak" in out


def test_a_healthy_program_passes():
    """It opens and closes as quickly as the other one leaks."""
    with started(PROGRAM, "steady", "60") as process:
        code, out, _ = watched(
            "--fail-on", "leak", "--fail-on", "critical", "--for", "500", str(process.pid)
        )

    assert code == 0, out
    assert "descriptors: " in out
    assert "no growth beyond noise" in out
    assert "FAILED" not in out


def test_a_level_fails_at_once():
    """A limit that is nearly reached needs no trend."""
    with started(PROGRAM, "leak", "60") as process:
        code, out, _ = watched("--fail-on", "caution", "--for", "3000", str(process.pid))

    assert code == 1
    assert "FAILED on caution: descriptors" in out


MANY_FILES = (
    "import sqlite3, sys, time\n"
    "kept = [open('held.log', 'a') for _ in range(30)]\n"
    "print('ready', flush=True)\n"
    "time.sleep(float(sys.argv[1]))\n"
)


def held_open(folder, seconds):
    """A program that holds one log file open thirty times: a finding of an audit."""
    path = folder / "held.py"
    path.write_text(MANY_FILES)
    return started(str(path), str(seconds))


def test_the_report_holds_what_an_audit_finds_worst_first_and_once_each(tmp_path, monkeypatch):
    """As ``holdfast audit`` says it at that moment: what, who, what it means, what to do."""
    monkeypatch.chdir(tmp_path)
    with held_open(tmp_path, 60) as process:
        _, out, _ = watched("--for", "5", str(process.pid))
        now = audit(process.pid)

    assert any(each.severity == "warning" for each in now.findings)
    assert "  audit at the end: 1 finding" in out
    for each in now.findings:
        assert out.count(each.means) == 1
        assert out.count(f"-> {each.do}") == 1
    told = [out.index(each.what) for each in now.findings]
    assert told == sorted(told)


def test_the_report_as_json_has_the_audit_as_audit_has_it(tmp_path, monkeypatch):
    """Its findings, and how long before the end it was taken."""
    monkeypatch.chdir(tmp_path)
    with held_open(tmp_path, 60) as process:
        done = run("--json", "--for", "0.3", "--interval", "0.1", str(process.pid))
        now = audit(process.pid)

    found = json.loads(done.stdout.splitlines()[-1])["audit"]
    assert found["findings"] == [each.to_dict() for each in now.findings]
    assert found["healthy"] is False
    assert found["descriptors"]["by_kind"] == now.to_dict()["descriptors"]["by_kind"]
    assert found["before_s"] < 1.0


def test_of_a_process_that_has_gone_the_last_look_before_its_end_is_told(tmp_path, monkeypatch):
    """A command that has ended shows nothing any more."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "held.py").write_text(MANY_FILES)
    done = run("--json", "--interval", "0.1", "--", sys.executable, "held.py", "1.5")

    found = json.loads(done.stderr.splitlines()[-1])["audit"]
    assert [each["severity"] for each in found["findings"]] == ["warning"]
    assert "held.log" in str(found["findings"])
    assert found["before_s"] > 0.0
    assert not found["at_end"]
    assert found["why_not"] == ""


HALF_CLOSED = (
    "import socket, sys, time\n"
    "server = socket.create_server(('127.0.0.1', 0))\n"
    "kept = []\n"
    "for _ in range(20):\n"
    "    client = socket.create_connection(server.getsockname())\n"
    "    kept.append(server.accept()[0])\n"
    "    client.close()\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n"
)


def test_what_may_be_passing_is_a_finding_once_two_looks_have_seen_it(tmp_path):
    """Half-closed connections, as an audit that looks twice has them."""
    (tmp_path / "half.py").write_text(HALF_CLOSED)
    with started(str(tmp_path / "half.py")) as process:
        soon, whole = (
            json.loads(run("--json", "--for", seconds, str(process.pid)).stdout.splitlines()[-1])
            for seconds in ("0.1", "2")
        )
        now = audit(process.pid, confirm_s=0.1)

    assert [each.code for each in now.findings if each.severity == "warning"] == ["close-wait"]
    assert whole["audit"]["findings"] == [each.to_dict() for each in now.findings]
    assert whole["audit"]["confirmed"]
    assert not soon["audit"]["confirmed"]
    assert soon["audit"]["healthy"]


def test_json_is_a_record_a_line_and_a_report_at_the_end():
    """For whoever draws it himself."""
    with started(PROGRAM, "idle", "60") as process:
        done = run("--json", "--for", "0.5", "--interval", "0.1", str(process.pid))

    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert {record["kind"] for record in records[:-1]} == {"reading"}
    assert records[-1]["kind"] == "report"
    assert records[-1]["samples"] == len(records) - 1
    assert records[0]["pid"] == process.pid
    assert records[0]["bounds"]["descriptors"]["bound"] == 1500


def test_the_exit_code_of_a_command_is_that_of_the_watch():
    """Its output is its own, what the watch says goes to standard error."""
    done = run(
        "--",
        sys.executable,
        "-c",
        "import time; print('mine'); time.sleep(.5); raise SystemExit(7)",
    )

    assert done.returncode == 7
    assert done.stdout == "mine\n"
    assert "ended with exit code 7" in done.stderr


def test_a_command_that_was_killed_has_the_exit_code_of_a_shell():
    """128 and the number of the signal."""
    done = run("--", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")

    assert done.returncode == 137


def test_a_command_that_is_not_there_is_told():
    """With the exit codes of a shell."""
    assert run("--", "no-such-program").returncode == 127
    assert run("--", "/").returncode == 126


def test_a_command_that_leaks_fails_and_goes_on_to_its_end():
    """A test suite is not cut short."""
    code, _, err = watched("--fail-on", "leak", "--", sys.executable, PROGRAM, "leak", "12")

    assert code == 1
    assert "the command ended with exit code 0" in err
    assert "FAILED on leak" in err


def test_a_command_is_ended_when_the_time_is_over():
    """Also one that does not want to, after the grace."""
    code, _, err = watched("--for", "5", "--", sys.executable, PROGRAM, "idle", "60")
    assert code == 0
    assert "the command was ended" in err

    deaf = "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    code, _, err = watched("--for", "5", "--", sys.executable, "-c", deaf)
    assert code == 0
    assert "the command was ended" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_signals_are_passed_on_to_the_command(number):
    """It decides what they mean."""
    code = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(40))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, "-m", "holdfast", "watch", "--", sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, number)
        process.communicate(timeout=WAIT)

    assert process.returncode == 40


def test_an_interrupt_ends_the_watch_of_a_process_with_its_report():
    """The process is left alone."""
    with started(PROGRAM, "idle", "60") as process:
        with subprocess.Popen(  # noqa: S603 - a program of our own
            [sys.executable, "-m", "holdfast", "watch", str(process.pid)],
            stdout=subprocess.PIPE,
            text=True,
        ) as watch:
            assert "descriptors" in watch.stdout.readline()
            os.kill(watch.pid, signal.SIGINT)
            out, _ = watch.communicate(timeout=WAIT)
        assert process.poll() is None

    assert watch.returncode == 0
    assert "interrupted" in out


def test_a_process_that_is_not_there_is_told_in_a_sentence():
    """With exit code 2."""
    with started(PROGRAM, "idle", "60") as process:
        pass

    done = run(str(process.pid))

    assert done.returncode == 2
    assert f"no process {process.pid} can be seen" in done.stderr


def test_a_process_that_ends_before_the_time_is_over_is_told():
    """What was asked for could not be seen: exit code 2. Without a time, the end is the end."""

    def to_its_end(*options):
        with (
            started(PROGRAM, "idle", "60") as process,
            subprocess.Popen(  # noqa: S603 - a program of our own
                [sys.executable, "-m", "holdfast", "watch", *options, str(process.pid)],
                stdout=subprocess.PIPE,
                text=True,
            ) as watch,
        ):
            assert "descriptors" in watch.stdout.readline()  # it has begun
            process.kill()
            process.wait(WAIT)
            out, _ = watch.communicate(timeout=WAIT)
        return watch.returncode, out

    code, early = to_its_end("--for", "20")

    assert code == 2
    assert "ended before the 20 s were over" in early
    assert to_its_end()[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be somebody else")
def test_a_process_of_somebody_else_is_told_in_a_sentence():
    """What to do is in it."""
    look = (
        "import os, sys\n"
        "from holdfast.cli.main import cli\n"
        "import holdfast.cli.watch.command, holdfast.cli.watch.child, holdfast.cli.watch.course\n"
        "import holdfast.cli.watch.voice, holdfast.watch.process_watch, holdfast.sense\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "cli.main(['watch', sys.argv[1]])\n"
    )
    with started(PROGRAM, "idle", "60") as process:
        done = subprocess.run(  # noqa: S603 - a program of our own
            [sys.executable, "-c", look, str(process.pid)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT,
        )

    assert done.returncode == 2
    assert "may not be read by user 65534" in done.stderr
    assert "Traceback" not in done.stderr
