"""Real programs, run within bounds, on both loops and in blocking code."""

import asyncio
import io
import os
import resource
import signal
import subprocess
import sys
import threading

import pytest
import uvloop
from tests.system.failure_programs import run_program, thread_limit, wait_until
from tests.system.process_counts import children_of, sleepers

import holdfast
from holdfast import CallTimeout, ProcessFailed, UnderPressure, process_lines, run_process
from holdfast.pools import AsyncPool
from holdfast.track import DESCRIPTORS

pytestmark = pytest.mark.system

__all__ = ("sleepers",)

uvloop.new_event_loop().close()  # the first one opens a pipe that the process keeps

RUNNERS = {
    "asyncio": lambda cmd, **options: asyncio.run(run_process(cmd, **options)),
    "uvloop": lambda cmd, **options: uvloop.run(run_process(cmd, **options)),
    "blocking": holdfast.run_process_sync,
}


@pytest.fixture(params=RUNNERS)
def run(request):
    """``run_process`` to its end: on each loop, and in blocking code."""
    return RUNNERS[request.param]


def python(source):
    return [sys.executable, "-S", "-E", "-c", source]


# ---------------------------------------------------------------- what comes back


def test_status_and_output_come_back(run):
    """Each output apart, and the figures of the run."""
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"])

    assert (result.returncode, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert (result.stdout_bytes, result.stderr_bytes, result.truncated) == (4, 4, False)
    assert result.args == ("sh", "-c", "echo out; echo err >&2; exit 3")
    assert result.seconds > 0
    assert result.cpu_s >= 0
    assert result.ended_children == 0


def test_a_signal_that_ended_it_is_told(run):
    """By its name."""
    result = run(["sh", "-c", "kill -SEGV $$"])

    assert result.returncode == -signal.SIGSEGV
    assert result.signal is signal.SIGSEGV


def test_a_status_other_than_0_is_an_error_if_asked_for(run):
    """With the result, and the end of what it said."""
    with pytest.raises(
        ProcessFailed, match=r"'sh' ended with exit status 2 .*: it broke"
    ) as caught:
        run(["sh", "-c", "echo it broke >&2; exit 2"], check=True)

    assert caught.value.result.returncode == 2


def test_output_beyond_the_bound_is_read_counted_and_dropped(run):
    """So the program does not wait for ever; its beginning and its end are kept."""
    result = run(python("print('a' * 3_000_000); print('z' * 10)"), max_output_bytes=20)

    assert result.returncode == 0
    assert result.stdout == b"aaaaaaaaaa\n[... 2999992 bytes left out ...]\nzzzzzzzzz\n"
    assert result.stdout_bytes == 3_000_012
    assert result.truncated


def test_errors_can_go_where_the_output_goes(run):
    """In the order in which they were written."""
    result = run(["sh", "-c", "echo one; echo two >&2; echo three"], stderr="stdout")

    assert result.stdout == b"one\ntwo\nthree\n"
    assert result.stderr == b""


def test_output_can_be_discarded(run):
    """Nothing is kept, and nothing is counted."""
    result = run(["sh", "-c", "echo out; echo err >&2"], stdout="discard", stderr="discard")

    assert (result.stdout, result.stdout_bytes, result.stderr_bytes) == (b"", 0, 0)


# ---------------------------------------------------------------- what goes in


@pytest.mark.parametrize("size", [0, 5, 65536, 3_000_000])
def test_bytes_go_in_whatever_the_pipe_holds(run, size):
    """While the output comes out: neither waits for the other."""
    result = run(["cat"], input=b"x" * size, max_output_bytes=size)

    assert result.stdout == b"x" * size


def test_an_iterable_goes_in_piece_by_piece(run):
    """A generator, too; it is closed at the end."""
    closed = []

    def pieces():
        try:
            yield b"one "
            yield bytearray(b"two ")
            yield memoryview(b"three")
        finally:
            closed.append(True)

    assert run(["cat"], input=pieces()).stdout == b"one two three"
    assert closed == [True]


def test_an_asynchronous_iterable_goes_in(run):
    """As fast as it comes."""

    async def pieces():
        for n in range(3):
            await asyncio.sleep(0.001)
            yield b"%d" % n

    assert run(["cat"], input=pieces()).stdout == b"012"


def test_an_open_file_is_read_by_the_program_itself(run, tmp_path):
    """Nothing is copied through this process; a file in memory is."""
    path = tmp_path / "in"
    path.write_bytes(b"from a file")

    with path.open("rb") as file:
        assert run(["cat"], input=file).stdout == b"from a file"
    assert run(["cat"], input=io.BytesIO(b"from\nmemory")).stdout == b"from\nmemory"


def test_a_program_that_has_had_enough_is_no_error(run):
    """It closes its input, or ends, before all of it was written."""
    assert run(["head", "-c", "3"], input=b"x" * 1_000_000).stdout == b"xxx"
    assert run(["true"], input=iter([b"x" * 100_000] * 10)).returncode == 0


def test_an_error_of_the_input_ends_the_program(run, sleepers):
    """And is what the caller gets."""

    def pieces():
        yield b"x"
        wait_until(sleepers.living)
        raise LookupError

    with pytest.raises(LookupError):
        run(["sh", "-c", f"sleep {sleepers.seconds}"], input=pieces())

    assert sleepers.living() == []


def test_input_that_is_not_bytes_is_told(run):
    """Even when that shows only in the middle."""
    with pytest.raises(TypeError, match="encode text first"):
        run(["cat"], input=["text"])
    with pytest.raises(TypeError, match="an iterable of bytes"):
        run(["cat"], input=4.2)


def test_environment_and_folder_are_what_was_asked_for(run, tmp_path):
    """The environment has the mark besides, and nothing else."""
    result = run(["/bin/sh", "-c", "env; pwd"], env={"ONE": "1"}, cwd=tmp_path)

    names = {line.partition("=")[0] for line in result.text.splitlines() if "=" in line}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"ONE", "HOLDFAST_TREE"}
    assert str(tmp_path) in result.text


def test_nothing_is_inherited_but_what_was_named(run):
    """Not even a descriptor that was made inheritable, by a library that knows no better."""
    ours, its = os.pipe()
    os.set_inheritable(ours, True)
    named = os.dup(its)
    source = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
    try:
        bare = run(python(source)).text
        passed = run(python(source), pass_fds=[named]).text
    finally:
        for fd in (ours, its, named):
            os.close(fd)

    # The last one is the list's own.
    assert bare.strip() == "[0, 1, 2, 3]"
    assert str(named) in passed


def test_the_signals_that_python_ignores_are_not_ignored_there(run):
    """A pipe that nobody reads ends a program, as in a shell."""
    result = run(["sh", "-c", "yes | head -n 1; true"])

    assert result.stdout == b"y\n"


# ---------------------------------------------------------------- the end


def test_a_timeout_ends_all_that_was_started_and_brings_what_there_was(run, sleepers):
    """Also what is in a session of its own, or a daemon, or deaf."""
    deaf = f"trap '' TERM; sleep {sleepers.seconds}; sleep {sleepers.seconds}"
    source = f'echo so far; setsid sleep {sleepers.seconds} & (setsid sh -c "{deaf}" &); sleep {sleepers.seconds}'

    with pytest.raises(CallTimeout, match="ended with all that it had started") as caught:
        run(["sh", "-c", source], timeout=0.3, kill_grace=0.2)

    assert caught.value.stopped
    assert caught.value.result.stdout == b"so far\n"
    assert caught.value.result.returncode == -signal.SIGTERM
    assert sleepers.living() == []
    assert children_of(os.getpid()) == [] or _only_the_keeper()


def _only_the_keeper():
    from holdfast._core.process_tree.keeper import KEEPER

    return children_of(os.getpid()) == [KEEPER.pid]


def test_a_child_that_keeps_the_pipe_does_not_hold_the_caller(run, sleepers):
    """The famous hang: the program has ended, its output has not."""
    result = run(["sh", "-c", f"sleep {sleepers.seconds} & echo done"], linger=0.05)

    assert result.stdout == b"done\n"
    assert result.returncode == 0
    assert result.ended_children == 1
    assert sleepers.living() == []


def test_what_comes_after_the_end_of_the_program_is_still_read(run):
    """For as long as ``linger``: a ``tee`` behind a shell that has gone."""
    result = run(["sh", "-c", "(sleep 0.05; echo late) & echo early"], linger=20.0)

    assert result.stdout == b"early\nlate\n"


def test_a_silent_daemon_is_ended_too(run, sleepers):
    """It holds nothing of ours, and would never be noticed."""
    source = f"setsid sleep {sleepers.seconds} </dev/null >/dev/null 2>&1 & sleep 0.05"

    result = run(["sh", "-c", source])

    assert result.ended_children == 1
    assert sleepers.living() == []


def test_a_program_that_is_not_there_is_the_systems_own_error(run, tmp_path):
    """It never started; so for a folder."""
    with pytest.raises(FileNotFoundError):
        run(["no-such-program-here"])
    with pytest.raises(FileNotFoundError):
        run(["true"], cwd=tmp_path / "nowhere")
    with pytest.raises(PermissionError):
        run([str(tmp_path)])


def test_a_status_that_other_code_has_taken_is_unknown_and_nothing_hangs(run):
    """A ``waitpid(-1)`` somewhere in the program takes what is not its own."""
    taken = []

    def pieces():
        from holdfast._core.process_tree.keeper import KEEPER

        (pid,) = set(children_of(os.getpid())) - {KEEPER.pid}
        os.kill(pid, signal.SIGKILL)
        taken.append(os.waitpid(pid, 0)[0])
        yield b""

    result = run(["sleep", "60"], input=pieces())

    assert result.pid == taken[0]
    assert result.returncode is None
    assert not result.ok


def test_the_children_of_others_are_left_to_them(run):
    """Their status is theirs to take."""
    other = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)

    run(["true"])

    assert other.wait() == 7


def test_peak_memory_is_told_where_it_is_the_programs_own(run):
    """A small program shows its parent's memory to the kernel; a larger one its own."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    large = run(python(f"x = bytearray({own + (64 << 20)}); x[::4096] = b'1' * len(x[::4096])"))
    small = run(["true"])

    assert large.peak_rss_bytes > own + (64 << 20)
    assert small.peak_rss_bytes is None


# ---------------------------------------------------------------- bounds


def test_a_pool_bounds_how_many_run_at_once():
    """Whoever calls, and however many."""
    peak = []

    async def main():
        async with AsyncPool(2, name="tools") as pool:
            await asyncio.gather(*[run_process(["sleep", "0.01"], pool=pool) for _ in range(10)])
            peak.append(pool.stats())

    asyncio.run(main())

    assert peak[0].peak_in_flight == 2
    assert peak[0].completed == 10


def test_a_full_pool_refuses_and_nothing_was_started(sleepers):
    """The refusal is the pool's."""

    async def main():
        async with AsyncPool(1, max_queue=0, overflow="reject") as pool:
            first = asyncio.ensure_future(
                run_process(["sleep", sleepers.seconds], pool=pool, timeout=None)
            )
            await asyncio.sleep(0)
            with pytest.raises(holdfast.QueueFull):
                await run_process(["sleep", sleepers.seconds], pool=pool)
            first.cancel()
            await asyncio.wait([first])

    asyncio.run(main())

    assert sleepers.living() == []


def test_a_deadline_around_it_holds(sleepers):
    """It is the pool's own mechanism: the program is ended when the time is over."""

    async def main():
        with holdfast.deadline(0.1):
            await run_process(["sleep", sleepers.seconds])

    with pytest.raises(CallTimeout, match="deadline"):
        asyncio.run(main())

    assert sleepers.living() == []


def test_the_default_pool_follows_the_budget():
    """As many as it has processes, or descriptors for."""
    from holdfast.flow._process_pool import default_pool

    before = holdfast.current_budget()
    small = holdfast.Budget(threads=8, processes=3, descriptors=600, memory_bytes=1 << 30)
    holdfast.set_budget(small)
    try:
        few = default_pool().stats().limit
        holdfast.set_budget(
            holdfast.Budget(threads=8, processes=300, descriptors=60, memory_bytes=1 << 30)
        )
        narrow = default_pool().stats().limit
    finally:
        holdfast.set_budget(before)

    assert (few, narrow) == (3, 10)


WITHOUT_DESCRIPTORS = """
import asyncio, os, resource
from holdfast import UnderPressure, run_process
from tests.system.failure_programs import report
from holdfast.track import DESCRIPTORS

DESCRIPTORS._read = lambda: (None, None)              # where nobody can tell how many are open

async def main():
    await run_process(["true"])                       # the keeper, and what the loop needs, is there
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    spare = [os.close(taken.pop()) for _ in range(FREE)]
    before = len(taken)
    said = ""
    try:
        await run_process(["true"], timeout=0.1)
    except UnderPressure as error:
        said = str(error)
    after = 0
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
            after += 1
    except OSError:
        pass
    for fd in taken: os.close(fd)
    again = (await run_process(["echo", "again"])).text
    report(said=said, lost=FREE - after, again=again)

asyncio.run(main())
"""


@pytest.mark.parametrize("free", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_without_descriptors_the_call_is_refused_and_none_is_lost(free):
    """However many are left, and nobody knew: it never ran, or it ran; and later it runs."""
    figures = run_program(WITHOUT_DESCRIPTORS.replace("FREE", str(free))).figures

    assert figures["lost"] == 0
    assert figures["again"] == "again\n"
    if free < 5:
        assert "this process may open 64" in figures["said"]
        assert "it never ran" in figures["said"]


WITHOUT_PROCESSES = """
import asyncio, os
from holdfast import UnderPressure, run_process
from tests.system.failure_programs import enter_thread_limit, report

async def main():
    await run_process(["true"])
    enter_thread_limit()
    before = len(os.listdir("/proc/self/fd"))
    fine = await run_process(["true"])
    sleeping = asyncio.ensure_future(run_process(["sleep", "60"]))
    await asyncio.sleep(0.05)
    refused = ""
    try:
        await run_process(["true"], timeout=0.1)
    except UnderPressure as error:
        refused = str(error)
    sleeping.cancel()
    await asyncio.wait([sleeping])
    again = await run_process(["true"])
    report(fine=fine.ok, refused=refused, again=again.ok, lost=len(os.listdir("/proc/self/fd")) - before)

asyncio.run(main())
"""


def test_without_processes_the_call_is_refused_and_works_again_later():
    """The system gives no further process: the call is tried again, then refused."""
    with thread_limit("pids.max", 2) as limit:
        figures = run_program(WITHOUT_PROCESSES, limit=limit).figures

    assert "it never ran" in figures.pop("refused")
    assert figures == {"fine": True, "again": True, "lost": 0}


def test_a_short_shortage_is_waited_for(monkeypatch):
    """Descriptors come back while it is tried again; the caller notices nothing."""
    monkeypatch.setattr(DESCRIPTORS, "_read", lambda: (None, None))  # it is the system that refuses

    async def main():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        await run_process(["true"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        return await run_process(["echo", "late"])

    assert asyncio.run(main()).stdout == b"late\n"


# ---------------------------------------------------------------- lines


def read(cmd, **options):
    """Read all lines in a coroutine."""

    async def main():
        async with process_lines(cmd, **options) as lines:
            return [line async for line in lines], lines.result

    return main()


def read_blocking(cmd, **options):
    with process_lines(cmd, **options) as lines:
        return list(lines), lines.result


READERS = {
    "asyncio": lambda cmd, **options: asyncio.run(read(cmd, **options)),
    "uvloop": lambda cmd, **options: uvloop.run(read(cmd, **options)),
    "blocking": read_blocking,
}


@pytest.fixture(params=READERS)
def lines_of(request):
    """All lines of a program, and its result."""
    return READERS[request.param]


def test_lines_come_as_they_are_written(lines_of):
    """The last one without its end, if it has none."""
    lines, result = lines_of(["printf", "one\\ntwo\\nthree"])

    assert lines == [b"one\n", b"two\n", b"three"]
    assert result.returncode == 0
    assert result.stdout_bytes == 13


def test_many_lines_come_whole_and_in_order(lines_of):
    """More than the pipe and the room hold."""
    lines, result = lines_of(["seq", "200000"], max_buffer_bytes=4096)

    assert lines == [b"%d\n" % n for n in range(1, 200_001)]
    assert result.ok


def test_a_line_that_is_too_long_comes_in_pieces(lines_of):
    """None longer than the bound."""
    lines, _ = lines_of(["printf", "abcdefg\\nh"], max_line_bytes=3)

    assert lines == [b"abc", b"def", b"g\n", b"h"]


def test_a_reader_that_pauses_stops_the_program():
    """What it writes is bounded by the room and the pipe, not by how long the pause is."""

    async def main():
        async with process_lines(["yes"], max_buffer_bytes=1000) as lines:
            async for _ in lines:
                break
            # Whatever it may still write it has written: it stands still.
            following = lines._following
            wait_until(lambda: _state_of_the_child() == "S")
            await asyncio.sleep(0.05)
            return following._lines.total

    assert asyncio.run(main()) <= 4 * 65536


def _state_of_the_child():
    from pathlib import Path

    from holdfast._core.process_tree.keeper import KEEPER

    (pid,) = set(children_of(os.getpid())) - {KEEPER.pid}
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_timeout_is_raised_behind_the_lines(sleepers):
    """Nothing that was read is lost."""

    async def main():
        got = []
        lines = process_lines(["sh", "-c", f"echo one; sleep {sleepers.seconds}"], timeout=0.2)
        with pytest.raises(CallTimeout):
            async for line in lines:
                got.append(line)
        return got

    assert asyncio.run(main()) == [b"one\n"]
    assert sleepers.living() == []


def test_the_status_is_an_error_behind_the_lines_if_asked_for(lines_of):
    """With ``check``."""
    with pytest.raises(ProcessFailed, match="exit status 4"):
        lines_of(["sh", "-c", "echo one; exit 4"], check=True)


@pytest.mark.parametrize("way", ["with", "break"])
def test_leaving_early_ends_the_program(way, sleepers):
    """By the end of the block, or by leaving the loop."""
    cmd = ["sh", "-c", f"echo one; setsid sleep {sleepers.seconds} & sleep {sleepers.seconds}"]

    async def main():
        if way == "with":
            async with process_lines(cmd) as lines:
                async for _ in lines:
                    break
            return
        async for _ in process_lines(cmd):
            break
        while sleepers.living():
            await asyncio.sleep(0.005)

    asyncio.run(main())

    assert sleepers.living() == []


def test_leaving_early_in_blocking_code_ends_the_program(sleepers):
    """At the end of the block, and without one soon after."""
    cmd = ["sh", "-c", f"echo one; sleep {sleepers.seconds}"]

    with process_lines(cmd) as lines:
        for _ in lines:
            break
    with_block = sleepers.living()
    for _ in process_lines(cmd):
        break
    wait_until(lambda: not sleepers.living())

    assert with_block == []


def test_lines_are_read_once():
    """A second pass is told to run it again."""
    lines = process_lines(["true"])
    list(lines)

    with pytest.raises(RuntimeError, match="once"):
        list(lines)


def test_blocking_calls_are_refused_where_they_would_freeze_a_loop():
    """With the name of what to use instead."""

    async def main():
        with pytest.raises(RuntimeError, match="await run_process"):
            holdfast.run_process_sync(["true"])
        with pytest.raises(RuntimeError, match="async for"):
            list(process_lines(["true"]))

    asyncio.run(main())


def test_many_threads_and_loops_run_programs_at_once():
    """None of them needs a child watcher, or the main thread."""
    found = []

    def loop():
        async def main():
            return await asyncio.gather(*[run_process(["echo", "x"]) for _ in range(5)])

        found.extend(asyncio.run(main()))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [one.stdout for one in found] == [b"x\n"] * 20


def test_ctrl_c_in_blocking_code_ends_the_program_first(sleepers):
    """Then the interrupt goes on."""
    source = """
import sys
from holdfast import run_process_sync
from tests.system.failure_programs import report, say_when_it_waits
say_when_it_waits("waits")
try:
    run_process_sync(["sh", "-c", f"sleep {sys.argv[1]} & sleep {sys.argv[1]}"])
except KeyboardInterrupt:
    report(interrupted=True)
"""
    from tests.system.failure_programs import start_program

    with start_program(source, sleepers.seconds) as program:
        program.wait_for("waits")
        wait_until(sleepers.living)
        program.interrupt()
        ended = program.end()

    assert ended.figures == {"interrupted": True}
    assert not [pid for pid in sleepers.living() if pid != program.process.pid]


def test_pressure_is_a_refusal():
    """Safe to repeat."""
    assert issubclass(UnderPressure, holdfast.Rejected)
