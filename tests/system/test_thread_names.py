"""The names of worker threads, as the system's own tools show them."""

import pathlib
import sys
import threading

import pytest

from holdfast import ThreadPool


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="names of threads are read from /proc")
def test_the_system_shows_the_pool_of_each_thread():
    """``top -H`` reads them from here; there is room for fifteen bytes."""
    meet = threading.Barrier(3)
    unnamed = pathlib.Path("/proc/self/comm").read_text()

    def name():
        meet.wait(20)
        comm = pathlib.Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        while (shown := comm.read_text()) == unnamed:  # it is named by the one that started it
            threading.Event().wait(0.001)
        return shown.strip()

    with ThreadPool(2, name="db") as short, ThreadPool(1, name="a-very-long-name") as long:
        shown = [short.submit(name), short.submit(name), long.submit(name)]

        assert sorted(future.result(20) for future in shown) == ["a-very-long-nam", "db/0", "db/1"]
