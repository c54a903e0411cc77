"""The memory of this process: what it holds now, and the highest since a moment of one's choice."""

import os
import resource
import sys
from pathlib import Path

__all__ = ("PeakMemory", "available_bytes", "rss_bytes")

_PROC = Path("/proc/self")
_RESET_PEAK = "5"  # see proc_pid_clear_refs(5)
_RU_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class PeakMemory:
    """The growth of the peak since this was made.

    Where the kernel lets us set the peak back (Linux), it is exact to a page. Elsewhere the peak is
    the highest of the whole life of the process, so a growth below that is not seen.
    """

    def __init__(self) -> None:
        try:
            (_PROC / "clear_refs").write_text(_RESET_PEAK)
        except OSError:
            self._exact = False
            self._start = _life_peak_bytes()
        else:
            self._exact = True
            self._start = _status_bytes("VmRSS")

    def growth_bytes(self) -> int:
        """By how much the peak is above the start."""
        peak = _status_bytes("VmHWM") if self._exact else _life_peak_bytes()
        return max(0, peak - self._start)


def rss_bytes() -> int:
    """Memory in use now; where the system won't say, its highest so far."""
    try:
        pages = int((_PROC / "statm").read_text().split()[1])
    except OSError:
        return _life_peak_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int | None:
    """Memory that the machine could still give; None where the system won't say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return _kilobytes(found[0]) if found else None


def _status_bytes(name: str) -> int:
    lines = (_PROC / "status").read_text().splitlines()
    return _kilobytes(next(line for line in lines if line.startswith(name + ":")))


def _kilobytes(line: str) -> int:
    return int(line.split()[1]) * 1024


def _life_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RU_MAXRSS_UNIT
