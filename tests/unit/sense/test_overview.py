"""``bounds`` and ``readings``: everything at once."""

import os
import pickle
import sys

import pytest

from holdfast.sense import bounds, readings

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

EVERY = ["threads", "processes", "descriptors", "memory", "cpus"]


def test_every_resource_has_its_tightest_bound(tree):
    """Threads by the user's limit, descriptors by the soft one, and so on."""
    tree.link(0, "/dev/null")
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", memory__max=9 << 20, cpu__max="50000 100000")

    found = bounds(root=tree.root)

    assert [each.name for each in found] == EVERY
    assert [each.bound for each in found] == [100, 100, 1024, 9 << 20, 0.5]


def test_of_two_resources_the_readings_are_all_there(tree):
    """Each limit, and the process's own figures."""
    names = {each.name for each in readings(root=tree.root)}

    assert {*EVERY, "resident memory", "swap", "pressure"} <= names


def test_a_machine_that_tells_nothing_is_read_without_an_error(tmp_path):
    """Each figure that is missing says why."""
    root = str(tmp_path)

    found = [*readings(root=root), *bounds(root=root)]

    assert [each for each in found if each.value is None and not each.note] == []
    assert [each.name for each in bounds(root=root)] == EVERY


@linux_only
def test_this_process_is_within_its_bounds():
    """Or it would not run."""
    for each in bounds():
        assert each.bound is not None
        if each.value is not None and each.name != "cpus":
            assert 0 < each.value <= each.bound


@linux_only
def test_bounds_leave_nothing_open_and_survive_pickling():
    """They are plain records."""
    before = len(os.listdir("/proc/self/fd"))

    found = bounds()

    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
    assert len(os.listdir("/proc/self/fd")) == before
