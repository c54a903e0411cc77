"""The descriptor budget: first come first served, within the bound, with the holders named."""

import asyncio
import gc
import os
import threading

import pytest

from holdfast import UnderPressure
from holdfast.track.descriptors import DescriptorSupply, reserve_of


class Machine:
    """How many descriptors are open, and the limits, as a test wants them."""

    def __init__(self, held=10, limit=100, bound=50):
        self.held = held
        self.limit = limit
        self.bound = bound
        self.supply = DescriptorSupply(lambda: (self.held, self.limit), lambda: self.bound)


@pytest.fixture
def machine():
    """Give a machine with a budget of 50, of which 65 would fit below the reserve."""
    found = Machine()
    yield found
    gc.collect()
    assert found.supply.drawn == 0
    assert found.supply.holders() == ()
    assert found.supply._opening == 0
    assert found.supply.waiting == 0


def test_what_is_drawn_stays_within_the_budget(machine):
    """And is counted by owner."""
    one = machine.supply.take(30, owner="pool 'db'")
    two = machine.supply.take(20, owner="http 'llm'")

    assert machine.supply.left() == 0
    assert machine.supply.holders() == (("pool 'db'", 30), ("http 'llm'", 20))
    with pytest.raises(
        UnderPressure, match="50 of the budget's 50 are drawn: pool 'db' 30, http 'llm' 20"
    ):
        machine.supply.take(owner="file", timeout=0)
    one.give_back()
    one.give_back()
    assert machine.supply.left() == 30
    two.give_back()


def test_what_others_have_opened_counts_too(machine):
    """The system's own count, against the soft limit less the reserve."""
    machine.held = 74  # 100 - 25 in reserve - 74: one fits

    with (
        machine.supply.take(owner="a"),
        pytest.raises(
            UnderPressure, match=r"74 of 100 \(soft RLIMIT_NOFILE\) are open and 25 stay"
        ),
    ):
        machine.supply.take(owner="b", timeout=0)


def test_what_was_granted_and_is_not_open_yet_counts_on_top(machine):
    """And once, when it is open."""
    machine.held = 70
    draws = [machine.supply.take(owner="a") for _ in range(5)]
    with pytest.raises(UnderPressure):
        machine.supply.take(owner="a", timeout=0)
    for draw in draws[:2]:
        machine.held += 1
        draw.opened()
        draw.opened()
    assert machine.supply.left() == 0
    machine.held -= 2
    assert machine.supply.left() == 2
    for draw in draws:
        draw.give_back()


def test_the_reserve_is_a_quarter_but_not_too_much():
    """8 to 32."""
    assert [reserve_of(limit) for limit in (10, 64, 100, 1024, 10**6)] == [8, 16, 25, 32, 32]


def test_a_draw_for_what_comes_and_goes_may_be_content_with_less(machine):
    """A client makes its limit fit what there is."""
    machine.supply.note("rest", 38).give_back()
    rest = machine.supply.note("rest", 38)
    draw = machine.supply.take(100, least=5, owner="http", is_open=True)

    assert draw.count == 12
    draw.give_back()
    rest.give_back()


def test_what_is_open_already_is_counted_beyond_the_bound(machine):
    """It can't be refused any more."""
    draw = machine.supply.note("log", 60)

    assert machine.supply.left() == 0
    draw.give_back()


def test_what_can_never_fit_is_refused_at_once(machine):
    """There is no use in waiting for it."""
    with pytest.raises(UnderPressure, match="no room for 51 more descriptors"):
        machine.supply.take(51, owner="a", timeout=None)


def test_a_draw_that_is_dropped_comes_back(machine):
    """As the collector finds it."""
    machine.supply.take(50, owner="a")

    assert machine.supply.left() == 50


async def test_coroutines_wait_their_turn(machine):
    """In the order in which they came, and a big one is not overtaken by small ones."""
    first = machine.supply.take(50, owner="first")
    served = []

    async def ask(count, number):
        draw = await machine.supply.atake(count, owner=f"n{number}")
        served.append(number)
        return draw

    tasks = [asyncio.create_task(ask(count, number)) for number, count in enumerate((40, 1, 9))]
    await asyncio.sleep(0)
    assert machine.supply.waiting == 3
    first.give_back()
    draws = await asyncio.gather(*tasks)

    assert served == [0, 1, 2]
    for draw in draws:
        draw.give_back()


async def test_a_waiter_that_is_cancelled_lets_the_next_one_in(machine):
    """Who wanted more than there was no longer stands in the way."""
    some = machine.supply.take(45, owner="some")
    big = asyncio.create_task(machine.supply.atake(20, owner="big"))
    await asyncio.sleep(0)
    small = asyncio.create_task(machine.supply.atake(5, owner="small"))
    await asyncio.sleep(0)
    big.cancel()

    (await small).give_back()
    some.give_back()


def test_threads_wait_too_and_are_refused_in_time(machine):
    """A wait ends: granted, or refused."""
    everything = machine.supply.take(50, owner="all")
    with pytest.raises(UnderPressure, match=r"descriptor of late within "):
        machine.supply.take(owner="late", timeout=0.02)
    timer = threading.Timer(0.02, everything.give_back)
    timer.start()
    machine.supply.take(owner="patient", timeout=20).give_back()
    timer.join()


async def test_blocking_code_in_a_loop_is_refused_and_not_blocked(machine):
    """It would freeze everybody in the loop."""
    with machine.supply.take(50, owner="all"), pytest.raises(UnderPressure):
        machine.supply.take(owner="late", timeout=20)


async def test_what_others_close_is_noticed(machine):
    """Nobody tells the supply; it looks again while somebody waits."""
    machine.held = 75
    waiting = asyncio.create_task(machine.supply.atake(owner="patient"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    machine.held = 70

    (await waiting).give_back()


async def test_a_raised_budget_is_noticed(machine):
    """Without anybody giving anything back."""
    draw = machine.supply.take(50, owner="all")
    waiting = asyncio.create_task(machine.supply.atake(owner="patient"))
    await asyncio.sleep(0)
    machine.bound = 60

    (await waiting).give_back()
    draw.give_back()


async def test_those_with_idle_things_are_asked_for_one(machine):
    """As many as are lacking, and no more."""

    class Lender:
        def __init__(self):
            self.draws = [machine.supply.take(10, owner="idle")]

        def lend(self):
            if not self.draws:
                return 0
            self.draws.pop().give_back()
            return 10

    lenders = [Lender() for _ in range(5)]
    for lender in lenders:
        machine.supply.lends(lender)
    draw = await machine.supply.atake(15, owner="needy")

    assert sum(len(lender.draws) for lender in lenders) == 3
    draw.give_back()
    lenders.clear()
    del lender


def test_a_child_after_a_fork_starts_without_waiters(machine):
    """What is open is open there too."""
    draw = machine.supply.take(10, owner="a")
    machine.supply.after_fork()

    assert machine.supply.drawn == 10
    draw.give_back()


def test_threads_and_drops_at_once(machine, tiny_switches):
    """Nothing is lost, whatever the collector takes back in the middle of whatever."""

    def work(number):
        for n in range(60):
            try:
                draw = machine.supply.take(1 + n % 7, owner=f"t{number}", timeout=20)
            except UnderPressure as error:
                pytest.fail(str(error))
            if n % 3:
                draw.give_back()
            cycle = [draw]
            cycle.append(cycle)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while alive := [thread for thread in threads if thread.is_alive()]:
        gc.collect()  # all may wait for what lies in cycles
        machine.supply.look_again()
        alive[0].join(0.005)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts in /proc")
def test_the_process_itself_is_read():
    """Without a machine of its own, a supply sees this process."""
    supply = DescriptorSupply()
    before = supply.left()
    with open("/dev/null"):
        assert supply.left() <= before
    assert supply.left() > 0


def test_a_part_of_a_draw_can_be_given_back():
    """What is kept stays drawn; who waits is served from the rest; more than there are is no error."""
    supply = DescriptorSupply(lambda: (None, None), lambda: 10)
    draw = supply.take(8, owner="starting")

    draw.keep(3)
    draw.keep(9)

    assert (draw.count, supply.drawn, supply.holders()) == (3, 3, (("starting", 3),))
    draw.opened()
    assert supply.left() == 7
    draw.keep(0)
    draw.give_back()
    assert (supply.drawn, supply.holders()) == (0, ())
