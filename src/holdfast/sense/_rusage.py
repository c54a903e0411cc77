"""What ``getrusage`` tells of this process, on every Unix."""

import os
import sys

if sys.platform != "win32":
    import resource

__all__ = ("own_cpu_s", "peak_bytes")

# Kilobytes on Linux, bytes on macOS.
_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def peak_bytes() -> int | None:
    """Return the most resident memory that the process has had, or None where nobody counts it."""
    if sys.platform == "win32":
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT_BYTES


def own_cpu_s() -> float:
    """Return the CPU seconds of all threads of the process since it began."""
    if sys.platform == "win32":
        spent = os.times()
        return spent.user + spent.system
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
