"""One supply of worker threads for all pools of the process."""

import threading

import pytest

from holdfast.errors import UnderPressure
from holdfast.pools import ThreadPool
from holdfast.pools._supply import SUPPLY


class Gate:
    """Holds calls until it is opened, and knows how many are inside."""

    def __init__(self):
        self._open = threading.Event()
        self._inside = threading.Semaphore(0)

    def __call__(self):
        self._inside.release()
        assert self._open.wait(20)

    def wait_inside(self, count=1):
        for _ in range(count):
            assert self._inside.acquire(timeout=20)

    def open(self):
        self._open.set()


@pytest.fixture
def supply(monkeypatch):
    """Set how many worker threads there may be."""

    def set_limit(limit):
        monkeypatch.setattr(SUPPLY, "limit", limit)

    yield set_limit
    assert (SUPPLY.threads, SUPPLY.unfilled, SUPPLY.reserved, SUPPLY.hungry) == (0, 0, 0, 0)


def _pools(count, workers=1, **options):
    return [ThreadPool(workers, **options) for _ in range(count)]


def _close(pools):
    for pool in pools:
        pool.shutdown()


def _threads():
    """Worker threads that exist: counted by themselves, since one may pass from pool to pool meanwhile."""
    return sum(thread.name.startswith("holdfast:shared") for thread in threading.enumerate())


def test_many_pools_of_one_have_no_more_threads_than_the_supply(supply):
    """Capping each pool is not enough; here all thirty share four threads, and all calls are done."""
    supply(4)
    pools = _pools(30, thread_name_prefix="holdfast:shared")
    most = []

    def note():
        most.append(_threads())

    futures = [pool.submit(note) for _ in range(5) for pool in pools]
    for future in futures:
        future.result(20)
    _close(pools)

    assert len(most) == 150
    assert max(most) <= 4


def test_a_pool_with_work_and_no_worker_gets_the_next_worker_that_ends_a_call(supply):
    """Calls that wait in the pool whose worker it was would block both threads for good."""
    supply(2)
    gate, served = Gate(), threading.Event()
    busy, starving = _pools(2, 2)
    held = [busy.submit(gate) for _ in range(2)]
    gate.wait_inside(2)
    behind = [busy.submit(served.wait, 20) for _ in range(20)]
    first = starving.submit(served.set)
    gate.open()
    first.result(20)
    for future in [*held, *behind]:
        future.result(20)
    _close([busy, starving])

    assert all(future.result() for future in behind)


def test_an_idle_worker_of_one_pool_serves_another_at_once(supply):
    """It does not wait for its idle_timeout; its thread takes the other pool's name."""
    supply(1)
    one, other = ThreadPool(1, name="one"), ThreadPool(1, name="other")
    first = one.submit(threading.current_thread).result(20)
    second = other.submit(lambda: (threading.current_thread(), first.name)).result(20)
    _close([one, other])

    assert second == (first, "holdfast:other/0")
    assert one.stats().threads == 0


def test_a_single_slot_is_shared_in_turn(supply):
    """Pools that all have work and one thread between them are served one call each, round and round."""
    supply(1)
    gate, order = Gate(), []
    pools = _pools(3)
    held = pools[0].submit(gate)
    gate.wait_inside()
    futures = [pools[i].submit(order.append, i) for i in (0, 1, 2) for _ in range(3)]
    gate.open()
    for future in [held, *futures]:
        future.result(20)
    _close(pools)

    assert order == [1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_min_workers_are_reserved_when_a_pool_is_made(supply):
    """Others get what is left, whether the pool uses its threads or not."""
    supply(4)
    gate = Gate()
    reserving, other = ThreadPool(3, min_workers=3), ThreadPool(4)
    held = [other.submit(gate) for _ in range(4)]
    gate.wait_inside(1)
    mine = [reserving.submit(int) for _ in range(3)]
    results = [future.result(20) for future in mine]
    threads = other.stats().threads
    gate.open()
    for future in held:
        future.result(20)
    _close([reserving, other])

    assert results == [0, 0, 0]
    assert threads == 1


@pytest.mark.parametrize("wanted", [4, 5])
def test_a_reservation_beyond_the_supply_is_refused(supply, wanted):
    """When the pool is made; one slot has to stay for everybody else."""
    supply(4)

    with pytest.raises(UnderPressure, match=f"min_workers={wanted} can't be reserved"):
        ThreadPool(10, min_workers=wanted)


def test_a_reservation_ends_with_its_pool(supply):
    """Closed or forgotten: the next one can have it."""
    supply(4)
    for _ in range(3):
        with ThreadPool(3, min_workers=3) as pool:
            pool.submit(int).result(20)
    forgotten = ThreadPool(3, min_workers=3)
    del forgotten
    with ThreadPool(3, min_workers=3) as pool:
        assert pool.submit(int).result(20) == 0


def test_a_stream_gives_way_to_a_pool_without_a_worker(supply):
    """However long it is: its turn ends within a slice."""
    supply(1)
    streaming, starving = _pools(2)
    answered, started = threading.Event(), threading.Event()

    def consume():
        for _ in streaming.stream(str, range(10**9)):
            started.set()
            if answered.is_set():
                break

    consumer = threading.Thread(target=consume)
    consumer.start()
    try:
        assert started.wait(20)
        answer = starving.submit(int).result(20)
    finally:
        answered.set()
        consumer.join()
        _close([streaming, starving])

    assert answer == 0


def test_a_pool_whose_initializer_has_to_run_gets_it_run_in_a_thread_that_comes_over(supply):
    """Once in each thread that serves the pool."""
    supply(1)
    seen = []
    plain, prepared = ThreadPool(1), ThreadPool(1, initializer=seen.append, initargs=("ready",))
    plain.submit(int).result(20)
    prepared.submit(seen.append, "called").result(20)
    _close([plain, prepared])

    assert seen == ["ready", "called"]


def test_a_pool_can_be_shut_down_while_its_thread_serves_another(supply):
    """Its shutdown waits for its own calls, not for the other pool's."""
    supply(1)
    gate = Gate()
    first, second = _pools(2)
    first.submit(int).result(20)
    held = second.submit(gate)
    gate.wait_inside()
    first.shutdown()
    gate.open()
    held.result(20)
    second.shutdown()
