"""The mailbox and the timer of a loop, on asyncio's loops and on uvloop's."""

import asyncio
import collections
import gc
import os
import threading

import pytest

from holdfast._core import loops
from holdfast._core.loops import LoopState, loop_state
from holdfast.testing import FakeClock

needs_eventfd = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd on this system")


class _Letter:
    """Notes on which thread, and how often, it was delivered."""

    def __init__(self):
        self.delivered_on = []
        self.came = threading.Event()

    def deliver(self):
        self.delivered_on.append(threading.get_ident())
        self.came.set()


class _Due:
    """Notes when it expired, by its loop's time; then does what it was told to."""

    def __init__(self, then=lambda: None):
        self.at = []
        self.then = then

    def expire(self):
        self.at.append(asyncio.get_running_loop().time())
        self.then()


class _Work:
    """Counts how often it was done."""

    def __init__(self, then=lambda: None):
        self.done = 0
        self.then = then

    def at_pass_end(self):
        self.done += 1
        self.then()


async def _state():
    return loop_state(asyncio.get_running_loop())


def _in_thread(work):
    """Run ``work`` in another thread to its end and return what it returns."""
    found = []
    thread = threading.Thread(daemon=True, target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(params=["eventfd", "plain"])
def wake_up(request):
    """Have each test see a system with eventfd and one without."""
    if request.param == "plain":
        request.getfixturevalue("no_eventfd")
    elif not hasattr(os, "eventfd"):
        pytest.skip("no eventfd on this system")


def test_a_loop_has_one_state_and_another_loop_another(runner):
    """The state is found again as long as the loop lives."""
    first = runner.run(_state())
    again = runner.run(_state())
    with asyncio.Runner() as other:
        elsewhere = other.run(_state())

    assert first is again
    assert elsewhere is not first


def test_posting_to_a_loop_that_is_gone_is_refused():
    """A mailbox may outlive its loop, and says so."""

    def make():
        with asyncio.Runner() as made:
            return made.run(_state())

    state = make()
    gc.collect()

    assert not state.post(_Letter())


# ---------------------------------------------------------------- mailbox


@pytest.mark.usefixtures("wake_up")
def test_a_letter_from_another_thread_is_delivered_on_the_loops_thread(runner):
    """The loop sleeps, and is woken."""
    letter = _Letter()

    async def main():
        state = await _state()
        posted = await asyncio.to_thread(state.post, letter)
        while not letter.delivered_on:
            await asyncio.sleep(0)
        return posted

    assert runner.run(main())
    assert letter.delivered_on == [threading.get_ident()]


@pytest.mark.usefixtures("wake_up")
def test_a_letter_from_the_loop_itself_is_delivered_later_in_its_own_pass(runner):
    """``post`` never delivers before it returns."""
    letter = _Letter()

    async def main():
        state = await _state()
        state.post(letter)
        at_once = list(letter.delivered_on)
        while not letter.delivered_on:
            await asyncio.sleep(0)
        return at_once

    assert runner.run(main()) == []
    assert len(letter.delivered_on) == 1


@pytest.mark.usefixtures("wake_up")
def test_a_letter_posted_during_a_delivery_is_delivered_too(runner):
    """A letter that answers a letter is not left lying."""
    second = _Letter()

    class Answering(_Letter):
        def deliver(self):
            super().deliver()
            state.post(second)

    state = runner.run(_state())
    first = Answering()

    async def main():
        state.post(first)
        while not second.delivered_on:
            await asyncio.sleep(0)

    runner.run(main())

    assert len(first.delivered_on) == len(second.delivered_on) == 1


@pytest.mark.race
@pytest.mark.usefixtures("wake_up", "tiny_switches")
def test_each_letter_of_many_threads_is_delivered_exactly_once(runner):
    """Four threads post two thousand letters each, as fast as they can, while the loop works."""
    batches = [[_Letter() for _ in range(2000)] for _ in range(4)]
    refused = []

    def post_all(state, letters):
        refused.extend(letter for letter in letters if not state.post(letter))

    async def main():
        state = await _state()
        posting = [asyncio.to_thread(post_all, state, letters) for letters in batches]
        await asyncio.gather(*posting)
        last = _Letter()
        state.post(last)
        while not last.delivered_on:
            await asyncio.sleep(0)

    runner.run(main())

    assert not refused
    assert {tuple(letter.delivered_on) for batch in batches for letter in batch} == {
        (threading.get_ident(),)
    }


# ---------------------------------------------------------------- the end of a loop


@pytest.mark.usefixtures("wake_up")
def test_posting_after_the_loop_has_ended_is_refused(runner):
    """``post`` says so, and the letter is never delivered."""
    letter = _Letter()
    state = runner.run(_state())
    runner.close()

    assert not state.post(letter)
    assert not _in_thread(lambda: state.post(letter))
    assert letter.delivered_on == []


@pytest.mark.usefixtures("wake_up")
def test_posting_after_a_bare_close_is_refused(new_loop):
    """A loop that was closed without shutting down its generators is closed all the same."""
    loop = new_loop()
    letter = _Letter()
    state = loop.run_until_complete(_state())
    loop.close()

    posted = state.post(letter)

    assert (posted, letter.delivered_on) == (False, [])


@pytest.mark.usefixtures("wake_up")
def test_posting_after_the_end_is_refused_even_when_a_wake_up_was_on_its_way():
    """A letter that missed the last pass does not make the mailbox look alive for ever."""
    loop = asyncio.new_event_loop()
    state = loop.run_until_complete(_state())
    loop.run_until_complete(loop.shutdown_asyncgens())
    state.post(_Letter())  # the loop is not closed yet, but makes no further pass
    loop.close()
    letter = _Letter()

    posted = state.post(letter)

    assert (posted, letter.delivered_on) == (False, [])


@pytest.mark.usefixtures("wake_up")
@pytest.mark.parametrize("shut_down", [True, False], ids=["shut down", "bare"])
def test_a_letter_that_waits_in_a_loop_that_is_closed_was_not_accepted_in_vain(new_loop, shut_down):
    """The loop stands still, takes a letter, and is closed without a further pass.

    A permit that travels in such a letter would be lost to its pool for ever.
    """
    letter = _Letter()
    loop = new_loop()
    state = loop.run_until_complete(_state())
    if shut_down:
        loop.run_until_complete(loop.shutdown_asyncgens())

    posted = state.post(letter)
    loop.close()

    assert len(letter.delivered_on) == posted


@pytest.mark.usefixtures("no_eventfd")
def test_a_letter_behind_a_wake_up_that_failed_is_refused_too():
    """Two threads post while the loop closes: what was accepted was delivered, the rest refused.

    The second one comes while the first one's wake-up is under way, and before the loop's refusal
    of it: it must not rely on that wake-up.
    """
    first, second, answers = _Letter(), _Letter(), []

    class Closing(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args, **kwargs):
            if not answers:
                answers.append(None)  # no recursion
                poster = threading.Thread(
                    daemon=True, target=lambda: answers.append(state.post(second))
                )
                poster.start()
                poster.join(0.2)  # it may well wait until this wake-up is decided
                self.close()
                posters.append(poster)
            return super().call_soon_threadsafe(*args, **kwargs)

    posters = []
    loop = Closing()
    state = LoopState(loop)

    first_posted = state.post(first)
    posters[0].join()

    assert first_posted == bool(first.delivered_on)
    assert answers == [None, bool(second.delivered_on)]


@pytest.mark.usefixtures("wake_up")
def test_what_was_posted_before_the_end_is_delivered_at_the_end(runner):
    """Letters that the last pass left are delivered when the generators are shut down."""
    letters = [_Letter() for _ in range(3)]

    async def main():
        state = await _state()
        for letter in letters:
            assert state.post(letter)

    runner.run(main())
    runner.close()

    assert [len(letter.delivered_on) for letter in letters] == [1, 1, 1]


@pytest.mark.usefixtures("wake_up")
def test_closing_delivers_what_has_been_posted(runner):
    """There and then, because the loop may make no further pass."""
    letters = [_Letter() for _ in range(3)]

    async def main():
        state = await _state()
        for letter in letters:
            assert state.post(letter)
        state.close()
        return [len(letter.delivered_on) for letter in letters]

    assert runner.run(main()) == [1, 1, 1]


@pytest.mark.usefixtures("wake_up")
def test_a_loop_whose_generators_were_shut_down_still_works():
    """Letters, timers and deferred work go on, the plain way, for as long as the loop runs."""
    letter, due, work = _Letter(), _Due(), _Work()

    async def main(state):
        posted = await asyncio.to_thread(state.post, letter)
        state.watch(due, 0.001)
        state.defer(work)
        while not (letter.delivered_on and due.at and work.done):
            await asyncio.sleep(0.001)
        return posted

    with asyncio.Runner() as made:
        state = made.run(_state())
        made.run(made.get_loop().shutdown_asyncgens())
        posted = made.run(main(state))

    assert posted
    assert (len(letter.delivered_on), len(due.at), work.done) == (1, 1, 1)


@needs_eventfd
def test_who_wakes_the_loop_keeps_nobody_else_from_going_on(monkeypatch, runner):
    """A write lets go of the interpreter: to wait for its end would be a turn of the interpreter each."""
    writing, go_on = threading.Event(), threading.Event()
    real, first = os.eventfd_write, []

    def slowly(fd, value):
        if not first:
            first.append(fd)
            writing.set()
            assert go_on.wait(10)
        real(fd, value)

    letters = [_Letter() for _ in range(3)]

    async def main():
        state = await _state()
        monkeypatch.setattr(os, "eventfd_write", slowly)
        poster = threading.Thread(target=lambda: state.post(letters[0]), daemon=True)
        poster.start()
        assert writing.wait(10)
        posted = [_in_thread(lambda: state.post(letters[1]))]
        state.armed = False  # as a delivery leaves it that is due to another wake-up
        posted.append(_in_thread(lambda: state.post(letters[2])))
        while not all(letter.delivered_on for letter in letters):
            await asyncio.sleep(0)
        go_on.set()
        poster.join()
        return posted

    assert runner.run(main()) == [True, True]
    assert [len(letter.delivered_on) for letter in letters] == [1, 1, 1]


@needs_eventfd
def test_the_descriptor_is_closed_only_when_nobody_is_about_to_write_to_it(monkeypatch, new_loop):
    """By then the number might be somebody else's file."""
    steps, writing, closing, go_on = [], threading.Event(), threading.Event(), threading.Event()
    real = os.eventfd_write

    def late(fd, value):
        writing.set()
        assert go_on.wait(10)
        real(fd, value)  # an OSError if it is closed
        steps.append("written")

    loop = new_loop()
    state = loop.run_until_complete(_state())
    state._release_fd.detach()  # this test closes it
    fd = state._wake_fd
    state._release_fd = lambda: steps.append("closed")
    monkeypatch.setattr(os, "eventfd_write", late)
    letter, answers = _Letter(), []
    poster = threading.Thread(target=lambda: answers.append(state.post(letter)), daemon=True)
    poster.start()
    assert writing.wait(10)

    def close():
        closing.set()
        loop.close()

    closer = threading.Thread(target=close, daemon=True)
    closer.start()
    assert closing.wait(10)
    closer.join(0.05)
    steps.append("let go")
    go_on.set()
    closer.join()
    poster.join()
    os.close(fd)

    assert steps == ["let go", "written", "closed"]
    assert len(letter.delivered_on) == answers[0] == 1


@needs_eventfd
def test_a_wake_up_that_a_fork_has_cut_off_is_not_waited_for(monkeypatch, new_loop):
    """In the child the thread that was about to write is not there, and never will have written."""
    loop = new_loop()
    state = loop.run_until_complete(_state())
    state._writers[object()] = (loops._process, threading.get_ident() + 1)
    monkeypatch.setattr(loops, "_process", loops._process)  # which is set back at the end
    loops._begin_anew()  # as in the child

    loop.close()

    assert state.post(_Letter()) is False


@pytest.mark.race
@pytest.mark.usefixtures("wake_up", "tiny_switches")
def test_letters_posted_while_loops_end_are_delivered_or_refused():
    """Threads post all through the end of a loop: each letter is delivered once, or refused."""
    wrong = collections.Counter()
    for _ in range(15):
        letters = {}
        over = threading.Event()
        states = []
        ready = threading.Event()

        def keep_posting(letters=letters, over=over, states=states, ready=ready):
            ready.wait()
            while not over.is_set():
                letter = _Letter()
                letters[letter] = states[0].post(letter)

        threads = [threading.Thread(daemon=True, target=keep_posting) for _ in range(2)]
        for thread in threads:
            thread.start()

        async def main(states=states, ready=ready, letters=letters):
            states.append(await _state())
            ready.set()
            while len(letters) < 20:
                await asyncio.sleep(0)

        asyncio.run(main())
        over.set()
        for thread in threads:
            thread.join()
        for letter, posted in letters.items():
            if len(letter.delivered_on) != posted:
                wrong[posted, len(letter.delivered_on)] += 1

    assert not wrong


@needs_eventfd
def test_the_descriptor_is_closed_when_the_loop_ends(new_loop, count_eventfds):
    """``asyncio.run`` leaves none behind, on either kind of loop."""
    before = count_eventfds()

    with asyncio.Runner(loop_factory=new_loop) as made:
        made.run(asyncio.sleep(0))
        of_the_loop_itself = count_eventfds()
        made.run(_state())
        during = count_eventfds()

    assert during == of_the_loop_itself + 1
    assert count_eventfds() == before


@needs_eventfd
def test_the_descriptor_is_closed_when_a_loop_that_was_only_closed_is_collected(count_eventfds):
    """Who closes a loop without the shutdown loses nothing for good."""
    before = count_eventfds()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_state())
    loop.close()

    del loop
    gc.collect()

    assert count_eventfds() == before


@needs_eventfd
@pytest.mark.usefixtures("runner")
def test_closing_twice_does_no_harm():
    """The shutdown of the generators may come after a close by hand."""

    async def main():
        state = await _state()
        state.close()
        state.close()

    asyncio.run(main())


# ---------------------------------------------------------------- once for each pass


def test_deferred_work_is_done_once_however_often_it_was_asked_for(runner):
    """A burst of requests in one pass costs one call."""
    work, other = _Work(), _Work()

    async def main():
        state = await _state()
        for _ in range(5):
            state.defer(work)
            state.defer(other)
        at_once = work.done
        await asyncio.sleep(0)
        return at_once

    assert runner.run(main()) == 0
    assert (work.done, other.done) == (1, 1)


def test_deferred_work_is_done_after_everything_that_was_ready(runner):
    """Work asked for by the first of three callbacks sees what all three did."""
    seen, happened = [], []
    work = _Work(lambda: seen.append(list(happened)))

    async def main():
        loop, state = asyncio.get_running_loop(), await _state()
        loop.call_soon(lambda: (happened.append(1), state.defer(work)))
        loop.call_soon(lambda: (happened.append(2), state.defer(work)))
        loop.call_soon(lambda: happened.append(3))
        while not seen:
            await asyncio.sleep(0)

    runner.run(main())

    assert seen == [[1, 2, 3]]


def test_work_can_be_deferred_again_from_itself(runner):
    """It is done in a later pass, so the loop is not held."""
    others = []

    async def main():
        state = await _state()
        work = _Work(lambda: state.defer(work) if work.done < 3 else None)
        state.defer(work)
        while work.done < 3:
            others.append(work.done)
            await asyncio.sleep(0)
        return work.done

    assert runner.run(main()) == 3
    assert set(others) >= {0, 1, 2}


def test_work_deferred_in_two_passes_is_done_twice(runner):
    """Once for each pass in which it was asked for."""
    work = _Work()

    async def main():
        state = await _state()
        for _ in range(2):
            state.defer(work)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    runner.run(main())

    assert work.done == 2


# ---------------------------------------------------------------- timer


def test_entries_expire_in_order_and_never_early(runner):
    """However they were entered, on a real loop of each kind."""
    order = []

    async def main():
        loop, state = asyncio.get_running_loop(), await _state()
        now = loop.time()
        delays = [0.06, 0.0, 0.02, 0.04]
        entries = {delay: _Due(lambda delay=delay: order.append(delay)) for delay in delays}
        for delay, entry in entries.items():
            state.watch(entry, delay)
        while len(order) < len(delays):
            await asyncio.sleep(0.005)
        return [entry.at[0] >= now + delay for delay, entry in entries.items()]

    in_time = runner.run(main())

    assert order == [0.0, 0.02, 0.04, 0.06]
    assert all(in_time)


def test_sixty_deadlines_each_come_in_time():
    """On a loop without a load, late by at most 1/32 of the delay plus a millisecond."""
    delays = [0.0008 * 1.3**n for n in range(60)]
    with FakeClock() as fake:

        async def main():
            loop, state = asyncio.get_running_loop(), await _state()
            start = loop.time()
            entries = [_Due() for _ in delays]
            for delay, entry in reversed(list(zip(delays, entries, strict=True))):
                state.watch(entry, delay)
            await asyncio.sleep(delays[-1] * 2)
            return [[at - start for at in entry.at] for entry in entries]

        with asyncio.Runner(loop_factory=fake.new_event_loop) as made:
            took = made.run(main())

    assert all(len(moments) == 1 for moments in took)
    for delay, (seconds,) in zip(delays, took, strict=True):
        assert delay <= seconds <= delay * (1 + 1 / 32) + 0.001 + 1e-6


def test_an_entry_that_is_taken_back_does_not_expire():
    """Its neighbour, due at the same moment, does."""
    gone, stays = _Due(), _Due()
    with FakeClock() as fake:

        async def main():
            state = await _state()
            key = state.watch(gone, 10)
            state.watch(stays, 10)
            state.unwatch(gone, key)
            await asyncio.sleep(60)
            state.unwatch(stays, key)  # too late, and no harm done

        with asyncio.Runner(loop_factory=fake.new_event_loop) as made:
            made.run(main())

    assert (len(gone.at), len(stays.at)) == (0, 1)


def test_an_earlier_entry_does_not_wait_for_a_later_one():
    """The timer is moved forward for it."""
    with FakeClock() as fake:

        async def main():
            loop, state = asyncio.get_running_loop(), await _state()
            late, early = _Due(), _Due()
            start = loop.time()
            state.watch(late, 1000)
            state.watch(early, 1)
            await asyncio.sleep(2)
            at_two = len(late.at), early.at[0] - start
            await asyncio.sleep(2000)
            return *at_two, len(late.at)

        with asyncio.Runner(loop_factory=fake.new_event_loop) as made:
            late_at_two, early_took, late_at_the_end = made.run(main())

    assert (late_at_two, late_at_the_end) == (0, 1)
    assert early_took == pytest.approx(1, abs=0.04)


def test_an_entry_made_while_another_expires_delays_nobody():
    """A watches C for a hundred seconds when it expires at 1; B still expires at 2."""
    with FakeClock() as fake:

        async def main():
            loop, state = asyncio.get_running_loop(), await _state()
            c, b = _Due(), _Due()
            a = _Due(lambda: state.watch(c, 100))
            start = loop.time()
            state.watch(a, 1)
            state.watch(b, 2)
            await asyncio.sleep(300)
            return [entry.at[0] - start for entry in (a, b, c)]

        with asyncio.Runner(loop_factory=fake.new_event_loop) as made:
            took = made.run(main())

    assert took == pytest.approx([1, 2, 101], rel=1 / 32, abs=0.002)


def test_entries_can_be_watched_at_any_moment(runner):
    """Short delays, again and again, in the very passes in which the timer fires.

    uvloop gives a handle without ``when()`` for a moment less than half a millisecond away.
    """
    expired = []

    async def main():
        state = await _state()
        for n in range(300):
            state.watch(_Due(lambda n=n: expired.append(n)), 0.0)
            state.watch(_Due(lambda n=n: expired.append(n)), 0.0)
            await asyncio.sleep(0.001)
        while len(expired) < 600:
            await asyncio.sleep(0.001)

    runner.run(main())

    assert collections.Counter(expired) == dict.fromkeys(range(300), 2)
