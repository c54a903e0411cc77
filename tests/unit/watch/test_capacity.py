"""For how many agents a limit has room."""

import pytest

from holdfast.sense.reading import Reading
from holdfast.watch.capacity import Capacity, Need, capacity, rooms

MB = 1 << 20


def room(name, value, bound, need, **more):
    """For one limit."""
    (only,) = rooms([Reading(name, value, name, bound, more.get("source", "x"))], need)
    return only.agents


@pytest.mark.parametrize(
    ("name", "value", "bound", "agents"),
    [
        ("threads", 40, 100, 20),  # a thread and two processes each
        ("processes", 40, 100, 20),
        ("descriptors", 24, 1024, 200),
        ("memory", 100 * MB, 200 * MB, 10),
        ("ports", None, 28_000, 28_000),
        ("descriptors", 2000, 1024, 0),
        ("file watchers", None, 128, None),
    ],
)
def test_what_is_left_is_divided_by_what_one_agent_takes(name, value, bound, agents):
    """Rounded down; a limit that agents do not fill says nothing of them."""
    need = Need(threads=1, processes=2, descriptors=5, memory_bytes=10 * MB)

    assert room(name, value, bound, need) == agents


def test_agents_without_subprocesses_are_not_bound_by_processes():
    """The limits of threads bind them."""
    need = Need(processes=0)

    assert room("processes", 0, 100, need) is None
    assert room("threads", 0, 100, need) == 100


def test_the_hard_limit_has_no_room_of_its_own():
    """It binds nobody before the soft one is raised."""
    assert room("descriptors", 0, 100, Need(), source="hard RLIMIT_NOFILE") is None


def test_the_tightest_limit_decides():
    """The least room of all."""
    readings = [
        Reading("descriptors", 0, "descriptors", 600, "soft RLIMIT_NOFILE"),
        Reading("threads", 0, "threads", 50, "pids.max"),
        Reading("cpus", 0.5, "CPUs", 2, "affinity"),
        Reading("cpu pressure, some", 3.0, "per cent", 100, "all the time"),
        Reading("swap", 0, "bytes", None, "nothing"),
    ]
    found = Capacity(rooms(readings, Need()), Need(), 2.0)

    assert [each.reading.name for each in found.rooms] == ["descriptors", "threads", "cpus"]
    assert found.tightest.agents == 25
    assert found.to_dict()["tightest"] == "pids.max"


def test_what_an_agent_needs_is_a_whole_number():
    """Of each."""
    with pytest.raises(ValueError, match="descriptors must be a whole number"):
        Need(descriptors=-1)
    with pytest.raises(TypeError, match="threads"):
        Need(threads=0.5)


def test_this_machine_has_room_by_some_limit():
    """And says by which."""
    found = capacity()

    assert found.tightest.agents > 0
    assert {"threads", "descriptors", "memory"} <= {each.reading.name for each in found.rooms}
