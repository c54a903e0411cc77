"""``holdfast.sense.descriptors``: the open ones against each limit on them."""

import os
import resource
import sys

import pytest
from tests.unit.sense.tree import STATUS

from holdfast.sense import _counts, descriptor_bound, descriptor_readings

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_each_limit_is_told(tree):
    """Those of the process, then that of the machine."""
    for fd in range(7):
        tree.link(fd, "/dev/null")

    found = descriptor_readings(root=tree.root)

    assert [(each.source, each.value, each.bound, each.scope) for each in found] == [
        ("soft RLIMIT_NOFILE", 7, 1024, "process"),
        ("hard RLIMIT_NOFILE", 7, 4096, "process"),
        ("fs.nr_open", 7, 1048576, "process"),
        ("fs.file-max", 3000, 5000, "machine"),
    ]


def test_the_soft_limit_binds_first(tree):
    """Seven of 1,024."""
    for fd in range(7):
        tree.link(fd, "/dev/null")

    bound = descriptor_bound(root=tree.root)

    assert (bound.value, bound.bound, bound.left) == (7, 1024, 1017)
    assert bound.source == "soft RLIMIT_NOFILE"


def test_a_machine_that_is_nearly_full_binds_before_it(tree):
    """All programs together may have few more."""
    tree.link(0, "/dev/null")
    tree.write("/proc/sys/fs/file-nr", "4990 0 5000")

    bound = descriptor_bound(root=tree.root)

    assert (bound.value, bound.left) == (1, 10)
    assert bound.source == "fs.file-max: 4,990 of 5,000 held by machine"


def test_who_may_administer_is_not_held_to_the_machines_limit(tree):
    """CAP_SYS_ADMIN, and no other."""
    tree.process(status=STATUS.replace("0000000000000000", f"{1 << 21:016x}"))

    machine = descriptor_readings(root=tree.root)[-1]

    assert machine.bound is None
    assert "5,000" in machine.note


def test_an_endless_soft_limit_ends_at_what_the_kernel_allows(tree):
    """``fs.nr_open`` is the highest number there can be."""
    tree.link(0, "/dev/null")
    tree.write("/proc/sys/fs/file-nr", "0 0 9223372036854775807")
    tree.write("/proc/self/limits", "Max open files            unlimited   unlimited   files")

    bound = descriptor_bound(root=tree.root)

    assert (bound.bound, bound.source) == (1048576, "fs.nr_open")


def test_a_folder_that_cannot_be_listed_is_told(tree):
    """The limits are there all the same."""
    tree.process("4711")

    soft, *_ = descriptor_readings(4711, root=tree.root)

    assert (soft.value, soft.bound) == (None, 1024)
    assert "/proc/4711/fd is not there" in soft.note


def test_a_process_that_has_ended_is_an_error(tree):
    """There is nothing to say of it."""
    with pytest.raises(ProcessLookupError, match="4711"):
        descriptor_bound(4711, root=tree.root)


@linux_only
@pytest.mark.parametrize("told", [True, False])
def test_real_descriptors_are_counted_by_size_and_by_listing_alike(monkeypatch, told):
    """Five more, and the limit that the process really has."""
    monkeypatch.setattr(_counts, "_known", {_counts.FD: told and _counts.size_is_fds()})
    before = descriptor_bound()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]

    during = descriptor_bound()
    for fd in opened:
        os.close(fd)

    assert during.value == before.value + 5
    assert during.value == len(os.listdir("/proc/self/fd")) - 1 + 5
    assert during.bound == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@linux_only
def test_a_size_that_is_no_count_is_not_believed(monkeypatch):
    """An older kernel says 0, another file system 4,096."""
    monkeypatch.setattr(_counts, "_known", {})
    sizes = iter([0, 4096, 4096, 4096, 4096, 4096, 4096, 4096])
    monkeypatch.setattr(_counts, "fds_by_size", lambda _: next(sizes))

    by_none = _counts._believed(_counts.FD, _counts.fds_by_size, listing=1)
    _counts._known.clear()
    by_other = _counts._believed(_counts.FD, _counts.fds_by_size, listing=1)

    assert (by_none, by_other) == (False, False)


@linux_only
def test_a_size_is_compared_only_once(monkeypatch):
    """What the kernel does will not change."""
    monkeypatch.setattr(_counts, "_known", {})
    first = _counts.size_is_fds()
    monkeypatch.setattr(_counts, "_agrees", lambda *_: not first)

    assert _counts.size_is_fds() == first


@linux_only
def test_without_a_descriptor_to_list_with_the_size_is_believed_for_now(monkeypatch):
    """And compared another time."""

    def refuse(_):
        raise OSError

    monkeypatch.setattr(_counts, "_known", {})
    monkeypatch.setattr(_counts.os, "listdir", refuse)
    monkeypatch.setattr(_counts, "fds_by_size", lambda _: 5)

    assert _counts._believed(_counts.FD, _counts.fds_by_size, listing=1)
    assert _counts._known == {}
