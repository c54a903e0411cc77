"""``holdfast.audit`` sees what ``lsof``, ``ss``, ``ps`` and psutil see, and what psutil does not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from holdfast.watch.audit import audit

ZOO = Path(__file__).with_name("zoo.py")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def needs(command):
    """Skip where a tool to compare with is not installed."""
    return pytest.mark.skipif(shutil.which(command) is None, reason=f"{command} is not installed")


def told_by(*command):
    """What a tool prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout  # noqa: S603 - tools of the system


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Start the program with everything in it; gives what it tells, and the audit of it."""
    child = subprocess.Popen(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, str(ZOO), str(tmp_path_factory.mktemp("zoo"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    told = json.loads(child.stdout.readline())
    yield told, audit(told["pid"])
    child.communicate(timeout=30)


STATES = {
    "ESTAB": "ESTABLISHED",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
}


@needs("ss")
def test_sockets_are_those_of_ss_with_state_and_addresses(zoo):
    """Each TCP socket by its descriptor; and all states are there that a descriptor can be in."""
    told, found = zoo
    theirs = {}
    for line in told_by("ss", "-tanpH").splitlines():
        state, _, _, local, peer, *users = line.split()
        for fd in re.findall(rf"pid={told['pid']},fd=(\d+)", " ".join(users)):
            state = STATES.get(state, state.replace("-", "_"))
            theirs[int(fd)] = (state, local, "" if state == "LISTEN" else peer)
    ours = {
        each.fd: (each.socket.state, each.socket.local, each.socket.peer)
        for each in found.look.descriptors
        if each.socket is not None and each.socket.family.startswith("tcp")
    }

    unconnected = {fd for fd, (state, _, _) in theirs.items() if state == "UNCONN"}
    assert ours == {fd: it for fd, it in theirs.items() if fd not in unconnected}
    assert {state for state, _, _ in ours.values()} >= {
        "LISTEN",
        "ESTABLISHED",
        "SYN_SENT",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "CLOSE_WAIT",
        "LAST_ACK",
        "CLOSING",
    }


@needs("ss")
def test_unix_sockets_are_those_of_ss(zoo):
    """By descriptor, with what listens and its path."""
    told, found = zoo
    theirs = {}
    for line in told_by("ss", "-xanpH").splitlines():
        _, state, _, _, local, *_ = line.split()
        for fd in re.findall(rf"pid={told['pid']},fd=(\d+)", line):
            theirs[int(fd)] = (state == "LISTEN", "" if local == "*" else local)
    ours = {
        each.fd: (each.socket.state == "LISTEN", each.socket.local)
        for each in found.look.descriptors
        if each.socket is not None and each.socket.family == "unix"
    }

    assert len(ours) == 3
    assert ours == theirs


def kind_of(kind, name):
    """Our word for what lsof shows."""
    if kind == "a_inode":
        words = ("eventfd", "eventpoll", "inotify", "pidfd")
        word = next((word for word in words if word in name), "other")
        return "epoll" if word == "eventpoll" else word
    if kind == "REG":
        if "/memfd:" in name:
            return "memfd"
        return "deleted file" if name.endswith("(deleted)") else "file"
    return {
        "DIR": "directory",
        "CHR": "device",
        "FIFO": "pipe",
        "IPv4": "socket",
        "IPv6": "socket",
        "unix": "socket",
        "sock": "socket",
    }.get(kind, kind)


@needs("lsof")
def test_descriptors_are_those_of_lsof_kind_by_kind(zoo):
    """Each descriptor by its number, and none is missing."""
    told, found = zoo
    theirs, fd, kind = {}, None, ""
    for line in told_by("lsof", "-nP", "-p", str(told["pid"]), "-F", "ftn").splitlines():
        field, value = line[:1], line[1:]
        if field == "f":
            fd = int(value) if value.isdecimal() else None
        elif field == "t":
            kind = value
        elif field == "n" and fd is not None:
            theirs[fd] = kind_of(kind, value)
    ours = {each.fd: each.kind for each in found.look.descriptors}

    # What lsof is too old to know, it names "unknown": those are left out of the comparison.
    known = {fd: it for fd, it in theirs.items() if it != "other"}
    assert {fd: it for fd, it in ours.items() if fd in known} == known
    assert ours.keys() == theirs.keys()
    assert set(ours.values()) >= {
        "file",
        "deleted file",
        "directory",
        "device",
        "socket",
        "pipe",
        "eventfd",
        "epoll",
        "inotify",
        "memfd",
        "pidfd",
    }


@needs("ps")
def test_threads_and_children_are_those_of_ps(zoo):
    """Threads by number and name, children by number and state."""
    told, found = zoo
    pid = str(told["pid"])
    threads = [
        line.split(maxsplit=1)
        for line in told_by("ps", "-L", "-o", "lwp=,comm=", "-p", pid).splitlines()
    ]
    children = [
        line.split() for line in told_by("ps", "--ppid", pid, "-o", "pid=,stat=").splitlines()
    ]

    assert {each.tid: each.name for each in found.look.threads} == {
        int(tid): name for tid, name in threads
    }
    # A program that has just been started may run at one look and sleep at the next.
    assert {each.pid: each.state == "Z" for each in found.look.children} == {
        int(child): state.startswith("Z") for child, state in children
    }
    assert {each.pid: each.state for each in found.look.children}[told["ended"]] == "Z"


@needs("ps")
def test_memory_is_that_of_ps(zoo):
    """The same page more or less."""
    told, found = zoo
    held_kb = int(told_by("ps", "-o", "rss=", "-p", str(told["pid"])))

    assert abs(found.look.resident.value / 1024 - held_kb) < 1024


def test_what_psutil_sees_is_seen(zoo):
    """Its files and its connections are among ours; it is blind to pipes and deleted files."""
    told, found = zoo
    process = psutil.Process(told["pid"])
    files = {
        each.fd: each.target for each in found.look.descriptors if each.kind in {"file", "memfd"}
    }
    sockets = {each.fd: each.socket for each in found.look.descriptors if each.socket is not None}

    assert {each.fd: each.path for each in process.open_files()}.items() <= files.items()
    for each in process.net_connections("tcp"):
        if each.status != "NONE" and each.laddr and each.fd in sockets:
            assert sockets[each.fd].state == each.status
            assert sockets[each.fd].local.endswith(f":{each.laddr.port}")
    assert process.num_fds() == len(found.look.descriptors)
    assert process.num_threads() == len(found.look.threads)


def test_nothing_is_of_an_unknown_kind(zoo):
    """Every descriptor is told."""
    _, found = zoo

    assert [each for each in found.look.descriptors if each.kind == "other"] == []


def test_deleted_files_are_told_with_what_they_hold(zoo):
    """By the name that they had."""
    _, found = zoo
    gone = {
        os.path.basename(each.target): each.size_bytes
        for each in found.look.descriptors
        if each.kind == "deleted file"
    }

    assert gone["gone.tmp"] == 5000
    assert len(gone) >= 2  # and what the standard streams may be
