"""``holdfast.sense.descriptor_kinds``: what the open descriptors are."""

import collections
import contextlib
import os
import select
import socket
import sys
import tempfile

import pytest

from holdfast.sense import descriptors_by_kind, open_descriptors

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def opened():
    """Close at the end what a test opens."""
    with contextlib.ExitStack() as stack:

        def keep(fd):
            stack.callback(os.close, fd)
            return fd

        yield keep


def kind_of(fd):
    """What one descriptor is."""
    (found,) = [each for each in open_descriptors() if each.fd == fd]
    return found


@linux_only
def test_files_and_folders_have_their_paths(opened, tmp_path):
    """Which of the two it is stands in no link."""
    path = tmp_path / "notes.txt"
    path.touch()
    file, folder = opened(os.open(path, os.O_RDONLY)), opened(os.open(tmp_path, os.O_RDONLY))

    assert (kind_of(file).kind, kind_of(file).target) == ("file", str(path))
    assert (kind_of(folder).kind, kind_of(folder).target) == ("directory", str(tmp_path))


@linux_only
def test_a_file_without_a_name_is_a_deleted_file(opened, tmp_path):
    """It takes room on the disk until it is closed."""
    path = tmp_path / "gone.log"
    fd = opened(os.open(path, os.O_CREAT | os.O_WRONLY))
    path.unlink()

    assert (kind_of(fd).kind, kind_of(fd).target) == ("deleted file", str(path))


@linux_only
def test_a_file_that_is_called_deleted_is_a_file(opened, tmp_path):
    """The kernel's mark looks the same."""
    path = tmp_path / "report (deleted)"
    fd = opened(os.open(path, os.O_CREAT | os.O_WRONLY))

    assert (kind_of(fd).kind, kind_of(fd).target) == ("file", str(path))


@linux_only
def test_what_has_no_file_is_told_apart(opened):
    """Each by the name that the kernel gives it."""
    reading, writing = os.pipe()
    epoll = select.epoll()
    made = {
        opened(reading): "pipe",
        opened(writing): "pipe",
        opened(os.eventfd(0)): "eventfd",
        opened(os.memfd_create("scratch")): "memfd",
        opened(os.pidfd_open(os.getpid())): "pidfd",
        opened(os.open(os.devnull, os.O_RDONLY)): "device",
        epoll.fileno(): "epoll",
    }

    found = {each.fd: each.kind for each in open_descriptors() if each.fd in made}
    epoll.close()

    assert found == made


@linux_only
def test_a_named_pipe_is_a_pipe(opened, tmp_path):
    """Although it has a path."""
    os.mkfifo(tmp_path / "queue")
    fd = opened(os.open(tmp_path / "queue", os.O_RDWR))

    assert kind_of(fd).kind == "pipe"


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("anon_inode:inotify", "inotify"),
        ("anon_inode:[timerfd]", "timerfd"),
        ("anon_inode:[signalfd]", "signalfd"),
        ("anon_inode:[eventfd]", "eventfd"),
        ("pidfd:[4711]", "pidfd"),
        ("anon_inode:[io_uring]", "other"),
        ("net:[4026531840]", "other"),
        ("/memfd:scratch (deleted)", "memfd"),
        ("/gone/for/ever (deleted)", "deleted file"),
        ("/not/to/be/looked/at", "file"),
    ],
)
def test_every_link_of_the_kernel_has_a_kind(tree, link, kind):
    """What nobody knows is called other, and keeps its name."""
    tree.link(3, link)

    (found,) = open_descriptors(root=tree.root)

    assert (found.fd, found.kind) == (3, kind)


@linux_only
def test_a_connection_that_the_peer_has_closed_is_in_close_wait():
    """The certain sign of a response that nobody closes; with whom, is told too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        assert client.recv(1) == b""

        waiting = kind_of(client.fileno())
        listening = kind_of(server.fileno())
        client.close()

    assert waiting.kind == "socket"
    assert waiting.socket.family == "tcp"
    assert (waiting.socket.state, waiting.socket.peer) == ("CLOSE_WAIT", f"127.0.0.1:{port}")
    assert (listening.socket.state, listening.socket.peer) == ("LISTEN", "")
    assert listening.socket.local == f"127.0.0.1:{port}"


@linux_only
def test_unix_and_datagram_sockets_are_told_apart():
    """By the tables they stand in."""
    one, other = socket.socketpair()
    with one, other, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))

        pair, bound = kind_of(one.fileno()).socket, kind_of(datagram.fileno()).socket

    assert (pair.family, pair.state) == ("unix", "CONNECTED")
    assert (bound.family, bound.state) == ("udp", "UNCONNECTED")


@linux_only
def test_a_socket_in_no_table_is_other():
    """A raw one, or one of another family."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
        found = kind_of(netlink.fileno())

    assert (found.kind, found.socket.family) == ("socket", "other")


@linux_only
def test_the_breakdown_counts_every_descriptor_once(opened):
    """The total is that of the kinds, and sockets are grouped by state and peer."""
    pairs = [socket.socketpair() for _ in range(3)]
    before = len(os.listdir("/proc/self/fd")) - 1

    found = descriptors_by_kind()
    for pair in pairs:
        for end in pair:
            end.close()

    assert found.total == sum(found.kinds.values()) == before
    assert found.sockets["unix", "CONNECTED", ""] >= 6
    assert sum(found.sockets.values()) == found.kinds["socket"]


@linux_only
def test_a_descriptor_that_is_closed_meanwhile_is_left_out(monkeypatch):
    """It was in the list and leads nowhere."""
    listed = os.listdir("/proc/self/fd")
    real = os.listdir
    monkeypatch.setattr(
        os, "listdir", lambda path: [*real(path), "9999"] if isinstance(path, int) else listed
    )

    found = open_descriptors()

    assert 9999 not in [each.fd for each in found]


def test_a_process_that_has_ended_is_an_error(tree):
    """Not an empty list."""
    with pytest.raises(ProcessLookupError, match="4711"):
        open_descriptors(4711, root=tree.root)


@linux_only
def test_reading_leaves_nothing_open():
    """The one through which the others are read is closed, and never told."""
    with tempfile.TemporaryFile():
        first = open_descriptors()
        second = open_descriptors()

    assert [each.fd for each in first] == [each.fd for each in second]
    assert not collections.Counter(each.target for each in first)[f"/proc/{os.getpid()}/fd"]
