"""What is read off the clocks and the kernel around one run, in the process that runs it."""

import asyncio
import contextlib
import gc
import resource
import time
from collections.abc import Generator

from benchmarks.memory import PeakMemory
from benchmarks.ticker import Ticker

__all__ = ("Meter",)


class Meter:
    """Takes the figures of one run.

    ``figures`` holds totals: ``wall_s``; ``cpu_s`` of all threads and of processes that ended
    meanwhile; ``peak_rss_bytes``, by how much the peak of the memory was above its start; with
    ``watch_loop``, the ticker's; and what the run has noted itself.
    """

    def __init__(self, *, watch_loop: bool = False) -> None:
        self.figures: dict[str, float] = {}
        self._watch_loop = watch_loop

    @contextlib.contextmanager
    def measure(self) -> Generator[None]:
        """Measure the block, with the garbage of what came before it out of the way."""
        gc.collect()
        ticker = self._start_ticker()
        memory = PeakMemory()
        cpu, wall = _cpu_s(), time.perf_counter()
        yield
        wall = time.perf_counter() - wall
        cpu = _cpu_s() - cpu
        self.note(wall_s=wall, cpu_s=cpu, peak_rss_bytes=memory.growth_bytes())
        if ticker is not None:
            ticker.stop()
            self.note(stall_s=ticker.worst_s, stall_cpu_s=ticker.worst_cpu_s)

    def note(self, **figures: float) -> None:
        """Keep figures that only the run knows; a name carries its unit (``session_bytes``)."""
        self.figures.update(figures)

    def _start_ticker(self) -> Ticker | None:
        if not self._watch_loop:
            return None
        return Ticker(asyncio.get_running_loop())


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
