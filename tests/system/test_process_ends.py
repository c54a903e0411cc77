"""What is left behind: nothing, whoever ends whom."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.system import process_jobs as jobs

from holdfast import CallTimeout, ProcessPool, WorkerLost
from holdfast._core.process_tree.mark import MARK

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
]

ROOT = Path(__file__).resolve().parents[2]


def alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, patience=15.0):
    """Real processes come and go in their own time."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def tools(folder):
    """The processes that a call has noted in a folder."""
    return [int(name) for name in os.listdir(folder) if name.isdigit()]


def test_no_tool_outlives_the_call_that_started_it(tmp_path):
    """A session of its own, a daemon, one that ignores SIGTERM: all are ended, and none of the others'."""
    folders = [tmp_path / str(i) for i in range(3)]
    for folder in folders:
        folder.mkdir()
    with ProcessPool(3, kill_grace=0.3) as pool:
        calls = [pool.options(timeout=20).submit(jobs.start_tools, str(f)) for f in folders]
        until(lambda: all((f / "ready").exists() for f in folders))
        found = [tools(folder) for folder in folders]
        assert [len(each) for each in found] == [4, 4, 4]

        calls[0].cancel()
        until(lambda: not any(map(alive, found[0])))
        assert all(map(alive, found[1] + found[2]))
        assert not any(call.done() for call in calls[1:])

        os.kill(calls[1].worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerLost):
            calls[1].result(20)
        assert not any(map(alive, found[1]))
        assert all(map(alive, found[2]))
    for call in calls[2:]:
        assert isinstance(call.exception(), CallTimeout)
    assert not any(map(alive, found[2]))


def test_many_timed_out_tools_leave_nothing():
    """Side by side, in waves."""
    with ProcessPool(4, kill_grace=0.3, timeout=0.3) as pool:
        command = f"sleep 913 & (setsid sleep 913 &) ; exec {sys.executable} -c 'import time; time.sleep(913)'"
        calls = [pool.submit(os.system, command) for _ in range(20)]
        for call in calls:
            with pytest.raises(CallTimeout):
                call.result(40)

        assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _runs(pid, b"913")]


def _runs(pid, word):
    with contextlib.suppress(OSError):
        return word in Path(f"/proc/{pid}/cmdline").read_bytes() and alive(pid)
    return False


PARENT = """
import os, sys, time
from holdfast import ProcessPool
from tests.system import process_jobs as jobs

pool = ProcessPool(2, name="left")
call = pool.submit(jobs.start_tools, sys.argv[1])
other = pool.submit(jobs.spin)
while not os.path.exists(f"{sys.argv[1]}/ready"):
    time.sleep(0.01)
print(*pool.pids(), pool._core._link.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["parent", "zygote"])
def test_nothing_outlives_its_parent(victim, tmp_path):
    """SIGKILL of the program, or of its zygote, leaves no worker and no tool."""
    with (
        subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
        ) as program,
        _killed_at_last(program),
    ):
        assert program.stdout is not None
        *workers, zygote = map(int, program.stdout.readline().split())
        started = tools(tmp_path)
        assert len(workers) >= 2
        assert all(map(alive, [*workers, zygote, *started]))

        os.kill(program.pid if victim == "parent" else zygote, signal.SIGKILL)

        until(lambda: not any(map(alive, [*workers, zygote])))
        until(lambda: not any(map(alive, started)))


@contextlib.contextmanager
def _killed_at_last(program):
    try:
        yield
    finally:
        program.kill()


def test_a_pool_goes_on_when_its_zygote_was_killed(tmp_path):
    """The calls in flight are lost; the next ones have a new zygote."""
    begun = tmp_path / "begun"
    with ProcessPool(2) as pool:
        call = pool.submit(jobs.ignore_term, str(begun))
        until(begun.exists)  # a call that its worker has not read would be run by another one
        os.kill(pool._core._link.pid, signal.SIGKILL)

        assert isinstance(call.exception(20), WorkerLost)
        assert pool.submit(jobs.same, 1).result(20) == 1


def test_a_worker_inherits_nothing_but_what_is_named(monkeypatch):
    """Descriptors and environment."""
    monkeypatch.setenv("A_SECRET", "of the parent")
    opened = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(opened, True)
    try:
        with ProcessPool(1) as pool, ProcessPool(1, env={"GIVEN": "yes"}) as named:
            found = pool.submit(jobs.descriptors).result(20)
            environment = pool.submit(jobs.environment).result(20)
            given = named.submit(jobs.environment).result(20)
    finally:
        os.close(opened)

    assert found.pop(0) == "/dev/null"
    others = [what for fd, what in found.items() if fd > 2 and not what.startswith("/proc/")]
    kinds = sorted(what.partition(":")[0] for what in others)
    assert kinds == ["/memfd", "pipe", "pipe"]
    assert "A_SECRET" not in environment
    assert environment["PATH"] == os.environ["PATH"]
    assert set(given) <= {"GIVEN", "LC_CTYPE", MARK}


def test_workers_are_forked_by_a_process_without_threads():
    """Whatever this one has."""
    with ProcessPool(1) as pool:
        zygote = pool.submit(jobs.parent).result(20)

        assert pool.submit(jobs.threads_of, zygote).result(20) == 1
        assert zygote != os.getpid()


GUARDED = """
from holdfast import ProcessPool

class Square:
    def __init__(self, of):
        self.value = of * of

def square(of):
    return Square(of)

if __name__ == "__main__":
    with ProcessPool(2) as pool:
        found = pool.submit(square, 3).result(20)
        assert type(found) is Square
        print(found.value, [one.value for one in pool.stream(square, range(4))])
"""

BARE = """
import sys
from holdfast import ProcessPool

def square(of):
    return of * of

print("once")
pool = ProcessPool(2)
try:
    print(pool.submit(square, 3).result(20))
except Exception as error:
    print(type(error).__name__, "cloudpickle" in str(error))
"""


def _run(program, tmp_path, arguments=()):
    file = tmp_path / "program.py"
    file.write_text(program)
    return subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, str(file), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_functions_of_the_main_program_are_found_by_workers(tmp_path):
    """A program with a guard is read by them, under another name."""
    ended = _run(GUARDED, tmp_path)

    assert (ended.stdout, ended.stderr) == ("9 [0, 1, 4, 9]\n", "")


def test_a_program_without_a_guard_is_never_run_again(tmp_path):
    """With cloudpickle the function is sent whole; without it the error says what to do."""
    pytest.importorskip("cloudpickle")
    assert _run(BARE, tmp_path).stdout == "once\n9\n"

    hidden = (
        "import sys, importlib.util as u; f = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'cloudpickle' else f(name, *a)\n"
    )
    assert _run(hidden + BARE, tmp_path).stdout == "once\nPicklingError True\n"


INTERRUPTED = """
import signal, threading, time
from holdfast import ProcessPool

armed = False

def interrupt(number, frame):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupt)
pool = ProcessPool(2)
assert pool.submit(abs, -1).result(20) == 1
main = threading.get_ident()
stop = threading.Event()

def shoot():
    while not stop.wait(0.002):
        signal.pthread_kill(main, signal.SIGINT)

shooter = threading.Thread(target=shoot)
shooter.start()
end, hits, done = time.monotonic() + 3, 0, 0
while time.monotonic() < end:
    try:
        armed = True
        pool.submit(abs, -2).result(20)
        armed = False
        done += 1
    except KeyboardInterrupt:
        hits += 1
stop.set()
shooter.join()
time.sleep(0.3)
assert hits > 20 and done > 20, (hits, done)
assert [pool.submit(abs, -3).result(20) for _ in range(20)] == [3] * 20
stats = pool.stats()
assert stats.in_flight == stats.queued == 0, stats
print("whole", pool.close())
"""


def test_interrupts_at_any_moment_lose_no_worker_and_no_permit(tmp_path):
    """Hundreds of them, in the thread that submits and waits."""
    ended = _run(INTERRUPTED, tmp_path)

    assert ended.stdout == "whole True\n", ended.stderr[-3000:]


AT_EXIT = """
from holdfast import ProcessPool
import time

pool = ProcessPool(1)
call = pool.submit(time.sleep, 0.3)
call.add_done_callback(lambda done: print("ended", done.exception(), flush=True))
"""


def test_the_interpreter_finishes_what_was_accepted(tmp_path):
    """And ends the processes, at its exit."""
    ended = _run(AT_EXIT, tmp_path)

    assert (ended.stdout, ended.stderr, ended.returncode) == ("ended None\n", "", 0)


NO_DESCRIPTORS = """
import os, resource, time
from holdfast import ProcessPool, UnderPressure

pool, fresh = ProcessPool(3), ProcessPool(1)
assert pool.submit(abs, -1).result(20) == 1
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
calls = [pool.submit(time.sleep, 0.02) for _ in range(12)]
print([call.exception(20) for call in calls].count(None))
print(type(fresh.submit(abs, -2).exception(20)).__name__)
for fd in held:
    os.close(fd)
print(fresh.submit(abs, -3).result(20), pool.submit(abs, -4).result(20))
print(pool.close(), fresh.close())
"""


def test_without_descriptors_calls_run_on_the_workers_there_are(tmp_path):
    """Where there is none, they are refused after a while, and have never started."""
    ended = _run(NO_DESCRIPTORS, tmp_path)

    assert ended.stdout == "12\nUnderPressure\n3 4\nTrue True\n", ended.stderr[-2000:]


NO_PROCESSES = """
import os, sys, time
from holdfast import ProcessPool

def write(name, text):
    with open(f"{sys.argv[1]}/{name}", "w") as file:
        file.write(text)

write("cgroup.procs", str(os.getpid()))
pool = ProcessPool(4, spares=0)
assert pool.submit(abs, -1).result(20) == 1
with open(f"{sys.argv[1]}/pids.current") as file:
    write("pids.max", file.read())
calls = [pool.submit(time.sleep, 0.05) for _ in range(12)]
print([call.exception(20) for call in calls].count(None), pool._core.refused > 0)
write("pids.max", "max")
calls = [pool.submit(time.sleep, 0.3) for _ in range(8)]
print([call.exception(20) for call in calls].count(None), len(pool.pids()) > 1)
print(pool.close())
"""


def test_a_refused_fork_loses_nothing(tmp_path):
    """The calls run on the workers there are; later there are more again."""
    group = Path("/sys/fs/cgroup/pids") / f"holdfast-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs a control group of processes of its own: {error}")
    try:
        ended = _run(NO_PROCESSES, tmp_path, arguments=[str(group)])
        assert ended.stdout == "12 True\n8 True\nTrue\n", ended.stderr[-2000:]
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
