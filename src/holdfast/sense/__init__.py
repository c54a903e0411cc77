"""Readers: what this process, or another, holds and may hold. No threads, no policy.

Nothing is kept between two readings but the descriptors of :func:`sample`. Each name is imported when
it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.sense.cpus import cpu_bound, cpu_readings, usable_cpus
    from holdfast.sense.descriptor_kinds import (
        Breakdown,
        Descriptor,
        descriptors_by_kind,
        open_descriptors,
    )
    from holdfast.sense.descriptors import descriptor_bound, descriptor_readings
    from holdfast.sense.fd_limit import FdLimit, raise_fd_limit
    from holdfast.sense.garbage import Garbage, garbage_readings, read_garbage
    from holdfast.sense.kernel_limits import kernel_readings
    from holdfast.sense.loop_lag import LoopLag
    from holdfast.sense.memory import memory_bound, memory_readings, pss_bytes
    from holdfast.sense.open_modes import appending
    from holdfast.sense.overview import Bounds, bounds, readings
    from holdfast.sense.own import OwnReading, peak_rss_bytes, read_own
    from holdfast.sense.pressure import Pressure, Stall, pressure_readings, read_pressure
    from holdfast.sense.process_tree import ProcessState, family, process_state
    from holdfast.sense.processes import process_bound, process_readings
    from holdfast.sense.reading import Reading, narrowest, tightest
    from holdfast.sense.sampler import Sample, Sampler, release, sample
    from holdfast.sense.sockets import Socket
    from holdfast.sense.tasks import task_reading
    from holdfast.sense.thread_list import ThreadState, list_threads
    from holdfast.sense.threads import thread_bound, thread_readings

__all__ = (
    "Bounds",
    "Breakdown",
    "Descriptor",
    "FdLimit",
    "Garbage",
    "LoopLag",
    "OwnReading",
    "Pressure",
    "ProcessState",
    "Reading",
    "Sample",
    "Sampler",
    "Socket",
    "Stall",
    "ThreadState",
    "appending",
    "bounds",
    "cpu_bound",
    "cpu_readings",
    "descriptor_bound",
    "descriptor_readings",
    "descriptors_by_kind",
    "family",
    "garbage_readings",
    "kernel_readings",
    "list_threads",
    "memory_bound",
    "memory_readings",
    "narrowest",
    "open_descriptors",
    "peak_rss_bytes",
    "pressure_readings",
    "process_bound",
    "process_readings",
    "process_state",
    "pss_bytes",
    "raise_fd_limit",
    "read_garbage",
    "read_own",
    "read_pressure",
    "readings",
    "release",
    "sample",
    "task_reading",
    "thread_bound",
    "thread_readings",
    "tightest",
    "usable_cpus",
)

# The module of this package that each name lives in.
_HOMES = {
    "Bounds": "overview",
    "Breakdown": "descriptor_kinds",
    "Descriptor": "descriptor_kinds",
    "FdLimit": "fd_limit",
    "Garbage": "garbage",
    "LoopLag": "loop_lag",
    "OwnReading": "own",
    "Pressure": "pressure",
    "ProcessState": "process_tree",
    "Reading": "reading",
    "Sample": "sampler",
    "Sampler": "sampler",
    "Socket": "sockets",
    "Stall": "pressure",
    "ThreadState": "thread_list",
    "appending": "open_modes",
    "bounds": "overview",
    "cpu_bound": "cpus",
    "cpu_readings": "cpus",
    "descriptor_bound": "descriptors",
    "descriptor_readings": "descriptors",
    "descriptors_by_kind": "descriptor_kinds",
    "family": "process_tree",
    "garbage_readings": "garbage",
    "kernel_readings": "kernel_limits",
    "list_threads": "thread_list",
    "memory_bound": "memory",
    "memory_readings": "memory",
    "narrowest": "reading",
    "open_descriptors": "descriptor_kinds",
    "peak_rss_bytes": "own",
    "pressure_readings": "pressure",
    "process_bound": "processes",
    "process_readings": "processes",
    "process_state": "process_tree",
    "pss_bytes": "memory",
    "raise_fd_limit": "fd_limit",
    "read_garbage": "garbage",
    "read_own": "own",
    "read_pressure": "pressure",
    "readings": "overview",
    "release": "sampler",
    "sample": "sampler",
    "task_reading": "tasks",
    "thread_bound": "threads",
    "thread_readings": "threads",
    "tightest": "reading",
    "usable_cpus": "cpus",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
