"""Looks at processes that do not exist, for tests of what they mean."""

from holdfast.sense.overview import Bounds
from holdfast.sense.process_tree import ProcessState
from holdfast.sense.reading import Reading
from holdfast.watch.look import Look

GB = 1 << 30


def bounds(*, descriptors=(50, 10_000), threads=(5, 10_000), cpus=4):
    """Plenty of everything."""
    return Bounds(
        Reading("threads", threads[0], "threads", threads[1], "pids.max"),
        Reading("processes", 1, "processes", 10_000, "pids.max"),
        Reading("descriptors", descriptors[0], "descriptors", descriptors[1], "soft RLIMIT_NOFILE"),
        Reading("memory", GB, "bytes", 16 * GB, "the machine's memory", "machine"),
        Reading("cpus", 0.1, "CPUs", cpus, "affinity"),
    )


def a_look(**given):
    """A healthy process, but for what is given."""
    process = ProcessState(4711, 1, "python", "python agent.py", "S", 5, 100 << 20)
    family = (process, *given.pop("children", ()))
    known = {
        "process": process,
        "own": False,
        "bounds": bounds(),
        "resident": Reading("resident memory", 100 << 20, "bytes"),
        "proportional": Reading("proportional memory", 90 << 20, "bytes"),
        "memory": (),
        "hard_descriptors": None,
        "descriptors": (),
        "appending": frozenset(),
        "threads": (),
        "family": family,
        "pressure": (),
        "lasting": None,
    }
    return Look(**known | given)
