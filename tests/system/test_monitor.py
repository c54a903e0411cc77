"""The monitor in real processes: forks, the end of the interpreter, a real limit."""

import os
import re
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.system


def run(program, *, timeout=60):
    """Run a program in a fresh interpreter, and return what it wrote and how it ended."""
    found = subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
        # A fork beside other threads is what some of these are about; 3.12 and later warn of it.
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            textwrap.dedent(program),
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return found.stdout, found.stderr, found.returncode


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_a_stopped_monitor_that_can_be_started_and_the_parents_goes_on():
    """Threads stay with the parent; so does what the monitor knew."""
    out, err, code = run(
        """
        import os, threading
        import holdfast

        ticked = threading.Semaphore(0)

        class Counting(holdfast.Monitor):
            def tick(self):
                ticked.release()
                return super().tick()

        monitor = Counting(interval=0.01)
        monitor.start()
        ticked.acquire()
        monitor.sample()
        pid = os.fork()
        if pid == 0:
            assert not monitor.running
            assert holdfast.snapshot().monitor is None
            assert monitor.stats().samples == 0
            assert monitor.sample().pid == os.getpid()
            assert monitor.start()
            ticked.acquire()
            assert monitor.close()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        for _ in range(3):
            ticked.acquire()
        assert monitor.running
        assert monitor.close()
        print(os.waitstatus_to_exitcode(status))
        """
    )

    assert (out, err, code) == ("0\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks_while_the_monitor_samples_do_not_hang_the_child():
    """Whatever lock the monitor's thread holds at that moment is not the child's."""
    out, err, code = run(
        """
        import os
        import holdfast

        with holdfast.Monitor(interval=0.0001) as monitor:
            monitor.sample()
            codes = []
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    holdfast.snapshot()
                    monitor.sample()
                    monitor.close()
                    os._exit(0)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(set(codes))
        """
    )

    assert (out, code) == ("{0}\n", 0), err


def test_a_program_that_never_closes_its_monitor_ends_in_peace():
    """Nothing is written, and nothing is waited for."""
    out, err, code = run(
        """
        import holdfast

        monitor = holdfast.Monitor(interval=0.001)
        monitor.start()
        monitor.sample()
        print("done")
        """
    )

    assert (out, err, code) == ("done\n", "", 0)


def test_it_works_with_no_descriptor_left():
    """The samples go on, and the level is critical."""
    out, err, code = run(
        """
        import os, resource
        import holdfast

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        changes = []
        with holdfast.Monitor(interval=60.0, on_change=changes.append) as monitor:
            monitor.sample()
            held = []
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            found = monitor.sample()
            print(found.fds, found.levels["descriptors"], found.kinds["device"] >= 0)
            print([change.text for change in changes if change.name == "descriptors"])
            os.close(held.pop())  # one is left: a folder could be opened with it, and not be listed
            print(sum(holdfast.sense.descriptors_by_kind().kinds.values()), monitor.stats().failures)
            for fd in held:
                os.close(fd)
        """
    )

    assert code == 0, err
    assert out.splitlines()[0] == "64 critical True"
    # By either sample: the monitor's own first one may come in the middle of the opening.
    assert re.search(r"descriptors: critical, [56]\d of 64 \(soft RLIMIT_NOFILE\)", out)
    assert out.splitlines()[2] == "63 0"


def test_a_callback_that_ends_the_interpreter_of_its_thread_does_not_end_the_monitor():
    """``SystemExit`` on the monitor's thread is a failure of the callback, as any other."""
    out, err, code = run(
        """
        import threading
        import holdfast
        from holdfast.watch import Threshold

        called = threading.Event()

        def leave(change):
            called.set()
            raise SystemExit(3)

        with holdfast.Monitor(
            interval=0.001,
            on_change=leave,
            thresholds={"descriptors": Threshold(1e-9, 2e-9), "memory": None},
        ) as monitor:
            assert called.wait(10)
            while not monitor.stats().failures:
                pass
            assert monitor.running
        print("still there")
        """
    )

    assert (out, code) == ("still there\n", 0), err
