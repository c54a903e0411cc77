"""``holdfast.sense`` on the real system: limits that bind, forks, other users, control groups."""

import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest

from holdfast.sense import (
    _process,
    bounds,
    descriptor_bound,
    descriptors_by_kind,
    memory_bound,
    memory_readings,
    thread_bound,
)
from holdfast.sense._process import Process
from holdfast.sense.cgroup import lineage

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: takes root")

# A user of whom nobody else has a process.
STRANGER = 54_321

IMPORTS = """
import json, os, resource, socket, subprocess, sys, threading
from holdfast.sense import *
from holdfast.sense import overview
def tell(**what):
    print(json.dumps(what), flush=True)
"""


def run(program, *arguments):
    """Run a program to its end and return what it told, one record for each line."""
    answer = subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, "-W", "error", "-c", IMPORTS + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.fixture
def waiting():
    """Start a program that tells one line and then waits to be let go."""
    started = []

    def start(program, **options):
        child = subprocess.Popen(  # noqa: S603 - as above
            [sys.executable, "-c", IMPORTS + program + "\nsys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(child)
        return child, json.loads(child.stdout.readline())

    yield start
    for child in started:
        child.communicate(timeout=30)


# ---------------------------------------------------------------- descriptors


def test_the_limit_is_raised_as_far_as_it_may_be():
    """And the descriptors can really be opened; children inherit it."""
    (told,) = run("""
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
first, second = raise_fd_limit(100), raise_fd_limit()
opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(150)]
child = subprocess.run(["sh", "-c", "ulimit -n"], capture_output=True, text=True)
tell(first=[first.before, first.after, first.hard], second=[second.before, second.after],
     bound=descriptor_bound().bound, child=int(child.stdout))
""")

    assert told == {"first": [64, 100, 200], "second": [100, 200], "bound": 200, "child": 200}


def test_what_is_said_to_be_left_is_what_can_be_opened():
    """To the last one."""
    (told,) = run("""
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
left, opened = descriptor_bound().left, 0
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
        opened += 1
except OSError:
    tell(left=left, opened=opened)
""")

    assert told["left"] == told["opened"]


def test_without_a_descriptor_left_the_process_is_read_all_the_same():
    """By what is kept open, and by trying the numbers one after the other."""
    (told,) = run("""
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
sample()
one, other = socket.socketpair()
opened = []
try:
    while True:
        opened.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
now, kinds = sample(), descriptors_by_kind()
tell(fds=now.fds, rss=now.rss_bytes, total=kinds.total, devices=kinds.kinds["device"],
     opened=len(opened), sockets=kinds.kinds["socket"], left=descriptor_bound().left)
""")

    assert told["fds"] == told["total"] == 60
    assert told["rss"] > 1_000_000
    assert told["devices"] >= told["opened"]
    assert told["sockets"] == 2


def test_a_sampler_that_starts_without_a_descriptor_says_what_it_can():
    """The count needs none; memory does."""
    (told,) = run("""
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
try:
    while True:
        last = os.open(os.devnull, os.O_RDONLY)
except OSError:
    pass
full = sample()
os.close(last)
os.close(last - 1)
os.close(last - 2)
free = sample()
tell(full=full.fds, threads=full.threads, rss=full.rss_bytes, free=free.fds, known=free.rss_bytes)
""")

    assert (told["full"], told["threads"], told["rss"]) == (60, 1, None)
    assert told["free"] == 60  # three were closed, three are kept
    assert told["known"] > 1_000_000


# ---------------------------------------------------------------- forks and children


def test_a_forked_child_closes_what_it_has_inherited_and_opens_its_own():
    """It counts itself, and not its parent."""
    parent, child = sorted(
        run("""
import gc
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
sample()
go = threading.Event()
thread = threading.Thread(target=go.wait)
if sys.version_info < (3, 12):
    thread.start()  # later versions warn of a fork beside threads
def kept():
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
             if os.path.lexists(f"/proc/self/fd/{fd}")]
    return sorted(link for link in links if link.startswith("/proc/") and "/fd/" not in link)
pid = os.fork()
if pid == 0:
    before = [link for link in kept() if str(os.getppid()) in link]
    for fd in held:
        os.close(fd)
    now = sample()
    tell(who="child", left=before, fds=now.fds, threads=now.threads,
         real=len(os.listdir("/proc/self/fd")) - 1)
    os._exit(0)
os.waitpid(pid, 0)
go.set()
tell(who="parent", fds=sample().fds, real=len(os.listdir("/proc/self/fd")) - 1)
"""),
        key=lambda told: told["who"],
        reverse=True,
    )

    assert child["left"] == []
    assert child["fds"] == child["real"]
    assert child["threads"] == 1
    assert parent["fds"] == parent["real"]


def test_a_started_program_gets_none_of_what_is_kept():
    """Not even one that is given everything that may be inherited."""
    (told,) = run("""
sample()
listed = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True)
tell(text=listed.stdout, pid=os.getpid())
""")

    assert f"/proc/{told['pid']}/" not in told["text"]


# ---------------------------------------------------------------- other processes


def test_another_process_is_read_with_its_own_limits(waiting):
    """Its threads, its descriptors by kind, its memory."""
    child, told = waiting("""
resource.setrlimit(resource.RLIMIT_NOFILE, (77, 88))
one, other = socket.socketpair()
go = threading.Event()
threads = [threading.Thread(target=go.wait, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
tell(fds=len(os.listdir("/proc/self/fd")) - 1)
""")

    found, kinds = bounds(child.pid), descriptors_by_kind(child.pid)

    assert found.threads.value == 5
    assert found.processes.value == 1
    assert (found.descriptors.value, found.descriptors.bound) == (told["fds"], 77)
    assert kinds.total == told["fds"]
    assert kinds.sockets["unix", "CONNECTED", ""] == 2
    assert memory_bound(child.pid).bound > 0


def test_off_linux_psutil_reads_another_process(waiting, monkeypatch):
    """Its threads, descriptors and memory; of the kinds files and sockets, and nothing else."""
    pytest.importorskip("psutil")
    monkeypatch.setattr(_process, "LINUX", False)
    child, told = waiting("""
opened = open(sys.executable, "rb")
one, other = socket.socketpair()
tell(fds=len(os.listdir("/proc/self/fd")) - 1)
""")

    found, kinds = bounds(child.pid), descriptors_by_kind(child.pid)

    assert found.threads.value == found.processes.value == 1
    assert (found.descriptors.value, found.descriptors.bound) == (told["fds"], None)
    assert memory_readings(child.pid)[0].value > 1_000_000
    assert kinds.kinds == {"socket": 2, "file": 1}


@as_root
def test_a_process_of_somebody_else_is_read_as_far_as_it_may_be(waiting):
    """Limits are open to all; the descriptors are not, and the error says what to do."""
    child, _ = waiting("tell(ready=True)")

    (told,) = run(
        """
pid = int(sys.argv[1])
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
found = bounds(pid)
try:
    descriptors_by_kind(pid)
except PermissionError as error:
    message = str(error)
tell(message=message, threads=found.threads.value, bound=found.descriptors.bound,
     pss=pss_bytes(pid).note)
""",
        child.pid,
    )

    assert f"/proc/{child.pid}/fd may not be read by user {STRANGER}" in told["message"]
    assert "or as root" in told["message"]
    assert told["threads"] == 1
    assert told["bound"] == descriptor_bound(child.pid).bound
    assert "may not be read" in told["pss"]


def test_a_child_that_has_ended_is_an_error():
    """It was there a moment ago."""
    child = subprocess.Popen(["true"])  # noqa: S607 - wherever it is
    child.wait()

    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        bounds(child.pid)


# ---------------------------------------------------------------- threads


@as_root
def test_what_is_said_to_be_left_is_what_can_be_started():
    """A user may have 12 threads, in three processes; to the last one."""
    (told,) = run("""
overview  # everything is imported before this process becomes another user
bounds()
os.setgroups([])
os.setgid(54322)
os.setuid(54322)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
resource.setrlimit(resource.RLIMIT_NPROC, (12, 12))
others = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(2)]
bound, go, threads = thread_bound(), threading.Event(), []
try:
    while True:
        thread = threading.Thread(target=go.wait)
        thread.start()
        threads.append(thread)
except RuntimeError:
    pass
full = thread_bound()
go.set()
for thread in threads:
    thread.join()
for other in others:
    other.communicate()
tell(value=bound.value, left=bound.left, bound=bound.bound, source=bound.source,
     started=len(threads), full=full.left)
""")

    assert told["started"] == told["left"] == 9
    assert (told["value"], told["bound"], told["full"]) == (1, 10, 0)
    assert told["source"] == "soft RLIMIT_NPROC: 3 of 12 held by user 54322"


# ---------------------------------------------------------------- control groups


@pytest.fixture
def groups():
    """Make groups below our own; take them away again."""
    made = []

    def make(controller, *names):
        line = lineage(Process(), controller)
        if os.geteuid() != 0 or not line.groups:
            pytest.skip(f"no {controller} control group that root could make another one in")
        folder = pathlib.Path(line.groups[0].folder) / f"holdfast-{uuid.uuid4().hex}"
        for path in [folder, *[folder.joinpath(*names[: n + 1]) for n in range(len(names))]]:
            try:
                path.mkdir()
            except OSError as error:
                pytest.skip(f"no group can be made: {error}")
            made.append(path)
        if not list(made[-1].glob(f"{controller}.*")):
            pytest.skip(f"the {controller} controller is not handed down to groups made here")
        return folder, made[-1]

    yield make
    for path in reversed(made):
        path.rmdir()


ENTER = """
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
"""


def test_the_limit_of_a_parent_group_is_what_can_be_started(groups):
    """The group has none of its own; its parent's 15 are shared with another program."""
    parent, child = groups("pids", "inner")
    (parent / "pids.max").write_text("15")

    (told,) = run(
        ENTER
        + """
other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
bound, processes, go, threads = thread_bound(), process_bound(), threading.Event(), []
try:
    while True:
        thread = threading.Thread(target=go.wait)
        thread.start()
        threads.append(thread)
except RuntimeError:
    pass
go.set()
for thread in threads:
    thread.join()
other.communicate()
tell(left=bound.left, source=bound.source, started=len(threads), processes=processes.bound)
""",
        child,
    )

    assert told["started"] == told["left"] == 13
    assert told["source"].startswith("pids.max: 2 of 15 held by cgroup ")
    assert parent.name in told["source"]
    assert not told["source"].endswith("inner")
    assert told["processes"] == 15


def test_the_memory_limit_of_a_parent_group_bounds(groups):
    """What is charged to the group, or resident here, is held of it."""
    parent, child = groups("memory", "inner")
    limit = 300 << 20
    knob = parent / "memory.max"
    (knob if knob.exists() else parent / "memory.limit_in_bytes").write_text(str(limit))

    (told,) = run(
        ENTER
        + """
before = memory_bound()
held = bytearray(b"x") * (60 << 20)
after = memory_bound()
tell(bound=after.bound, scope=after.scope, more=after.value - before.value, size=len(held))
""",
        child,
    )

    assert told["bound"] == limit
    assert parent.name in told["scope"]
    assert told["more"] > told["size"] * 0.9


def test_the_quota_of_a_parent_group_is_what_may_be_used(groups):
    """Half a CPU."""
    parent, child = groups("cpu", "inner")
    if (parent / "cpu.max").exists():
        (parent / "cpu.max").write_text("50000 100000")
    elif (parent / "cpu.cfs_quota_us").exists():
        (parent / "cpu.cfs_quota_us").write_text("50000")
    else:
        pytest.skip("this kernel has no quotas of CPU time")

    (told,) = run(ENTER + "tell(cpus=usable_cpus(), source=cpu_bound().source)", child)

    assert told["cpus"] == 0.5
    assert parent.name in told["source"]


def test_a_container_with_a_namespace_of_its_own_sees_its_limit(groups):
    """There its own group is the root of the tree that it mounts."""
    outer, child = groups("pids", "inner")
    point = outer.parent
    (child / "pids.max").write_text("33")
    version = lineage(Process(), "pids").version
    kind = "cgroup2 none" if version == 2 else "cgroup -o pids none"
    # Ours are still mounted there; a container has its own in their place.
    program = IMPORTS + "line = thread_bound(); tell(source=line.source, left=line.left)"
    command = f"""
echo $$ > {child}/cgroup.procs || exit 3
exec unshare --cgroup --mount sh -c '
  umount {point} && mount -t {kind} {point} || exit 3
  exec "$0" -c "$1"' {sys.executable} "$1"
"""

    answer = subprocess.run(  # noqa: S603 - our own commands
        ["sh", "-c", command, "sh", program],  # noqa: S607 - wherever it is
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    if answer.returncode == 3 or "unshare" in answer.stderr:
        pytest.skip(f"no namespace of control groups can be made here: {answer.stderr}")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["source"] == "pids.max: 1 of 33 held by cgroup /"
    assert told["left"] == 32


def test_this_process_has_the_bounds_that_the_system_enforces():
    """Nothing is said to be exhausted that isn't: this test runs."""
    assert thread_bound().left > 0
    assert descriptor_bound().left > 0
    assert memory_bound().left > 0
