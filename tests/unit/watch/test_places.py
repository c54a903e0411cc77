"""Places: what a descriptor or a thread is for, in words."""

import threading

from holdfast.sense.descriptor_kinds import Descriptor
from holdfast.sense.sockets import Socket
from holdfast.watch._places import living_descriptors, living_threads


def places(*descriptors, known=None):
    return [(each.place, each.state) for each in living_descriptors(descriptors, known or {})]


def tcp(fd, local, peer, state="ESTABLISHED", family="tcp"):
    return Descriptor(fd, "socket", f"socket:[{fd}]", Socket(family, state, local, peer))


def test_a_connection_is_of_the_other_end():
    """In both versions, with its state apart."""
    assert places(
        tcp(3, "10.0.0.1:50000", "10.0.0.7:443", "CLOSE_WAIT"),
        tcp(4, "[::1]:50000", "[::2]:443", family="tcp6"),
    ) == [("TCP to 10.0.0.7:443", "CLOSE_WAIT"), ("TCP to [::2]:443", "ESTABLISHED")]


def test_what_a_server_accepted_is_of_its_own_port():
    """Its peers are different each time."""
    found = places(
        tcp(3, "0.0.0.0:8080", "", "LISTEN"),
        tcp(4, "10.0.0.1:8080", "10.9.0.1:40001"),
        tcp(5, "10.0.0.1:8080", "10.9.0.2:40002"),
    )

    assert [place for place, _ in found] == [
        "TCP listening at 0.0.0.0:8080",
        "TCP accepted at port 8080",
        "TCP accepted at port 8080",
    ]


def test_other_kinds_have_their_own_words():
    """Files by their folder, devices by their name, the rest by kind."""
    found = places(
        Descriptor(3, "file", "/var/cache/a.bin"),
        Descriptor(4, "deleted file", "/scratch/b"),
        Descriptor(5, "device", "/dev/null"),
        Descriptor(6, "pipe", "pipe:[1]"),
        Descriptor(7, "eventfd", "anon_inode:[eventfd]"),
        Descriptor(8, "socket", "socket:[8]", Socket("udp", "UNCONNECTED", "0.0.0.0:5353")),
        Descriptor(9, "socket", "socket:[9]", Socket("unix", "LISTEN", "/run/x.sock")),
        Descriptor(10, "socket", "socket:[10]", Socket("other")),
    )

    assert [place for place, _ in found] == [
        "file in /var/cache",
        "deleted file in /scratch",
        "device /dev/null",
        "pipe",
        "eventfd",
        "UDP, not connected",
        "unix socket /run/x.sock",
        "other socket",
    ]


def test_a_line_that_is_known_stands_in_their_place():
    """By the number of the descriptor."""
    (found,) = places(tcp(3, "a:1", "b:2"), known={3: "app.py:10 fetch"})

    assert found == ("app.py:10 fetch", "ESTABLISHED")


def test_a_number_that_is_used_again_is_another_identity():
    """The kernel's own name of it is part of that."""
    first, second = (
        next(iter(living_descriptors([Descriptor(3, "pipe", target)], {})))
        for target in ("pipe:[1]", "pipe:[2]")
    )

    assert first.identity != second.identity


def test_threads_are_of_the_name_without_its_numbers():
    """Those of one pool, or of one target, are together."""
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, name=f"worker-{n}") for n in (1, 22)]
    for thread in threads:
        thread.start()
    try:
        found = [each for each in living_threads() if "worker" in each.place]
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert [each.place for each in found] == ["threads worker-#"] * 2
    assert len({each.identity for each in found}) == 2
