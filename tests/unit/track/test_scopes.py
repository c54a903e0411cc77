"""Scopes: all that was opened inside is closed at the end."""

import asyncio
import contextlib
import gc
import threading

import pytest

import holdfast
from holdfast import Leaked
from holdfast.track import current_scope, opened


class Client:
    """Something that can be closed, and remembers in which order."""

    def __init__(self, closed, *, error=None):
        self._closed = closed
        self._error = error

    def close(self):
        self._closed.append(self)
        if self._error is not None:
            raise self._error


class AsyncClient:
    """The same for a coroutine."""

    def __init__(self, closed, *, error=None, wait=None):
        self._closed = closed
        self._error = error
        self._wait = wait

    async def aclose(self):
        if self._wait is not None:
            await self._wait.wait()
        await asyncio.sleep(0)
        self._closed.append(self)
        if self._error is not None:
            raise self._error


def test_what_was_opened_inside_is_closed_in_reverse():
    """The youngest first, as one may depend on an older one."""
    closed = []
    with holdfast.scope("session"):
        clients = [holdfast.track(Client(closed)) for _ in range(3)]
    assert closed == clients[::-1]


async def test_in_a_coroutine_both_kinds_are_closed():
    """By ``aclose``, or by ``close``."""
    closed = []
    async with holdfast.scope("session"):
        one = holdfast.track(AsyncClient(closed))
        two = holdfast.track(Client(closed))
    assert closed == [two, one]


def test_what_is_closed_or_collected_before_the_end_has_left():
    """Nothing is closed twice, and nothing is kept alive."""
    closed = []
    with holdfast.scope("session") as scope:
        kept = holdfast.track(open("/dev/null"))  # noqa: SIM115 - closed below
        kept.close()
        for _ in range(100):
            holdfast.track(Client(closed))
        gc.collect()
        assert scope.opened() == ()
        assert len(scope._records) <= 1
    assert closed == []


def test_one_that_refuses_does_not_keep_the_others_open():
    """All are tried; the report names those that refused."""
    closed = []
    with (
        pytest.raises(Leaked, match=r"scope 'session'.*and 1 more") as caught,
        holdfast.scope("session"),
    ):
        clients = [
            holdfast.track(Client(closed, error=error))
            for error in (None, OSError("no"), ValueError("neither"), None)
        ]
    assert closed == clients[::-1]
    assert len(caught.value.held) == 2
    assert "ValueError: neither" in caught.value.held[0]
    assert __file__ in caught.value.held[0]


async def test_one_that_refuses_in_a_coroutine():
    """Likewise."""
    closed = []
    with pytest.raises(Leaked, match="OSError: no"):
        async with holdfast.scope("session"):
            clients = [
                holdfast.track(AsyncClient(closed, error=error)) for error in (None, OSError("no"))
            ]
    assert closed == clients[::-1]


async def test_one_that_takes_too_long_is_reported():
    """After ``close_timeout``; the others are closed."""
    closed, never = [], asyncio.Event()
    with pytest.raises(Leaked, match=r"longer than 0\.02 s") as caught:
        async with holdfast.scope("session", close_timeout=0.02):
            fine = holdfast.track(AsyncClient(closed))
            stuck = holdfast.track(AsyncClient(closed, wait=never))
    assert closed == [fine]
    assert len(caught.value.held) == 1
    del stuck


def test_what_can_only_be_closed_in_a_coroutine_refuses_in_blocking_code():
    """And the message says what to do."""
    with pytest.raises(Leaked, match="async with"), holdfast.scope("session"):
        client = holdfast.track(AsyncClient([]))
    del client


def test_an_error_of_the_block_comes_first(caplog):
    """The report becomes a note of it, and a line in the log."""
    with pytest.raises(KeyError) as caught, holdfast.scope("session"):
        client = holdfast.track(Client([], error=OSError("no")))
        raise KeyError("mine")
    assert "could not be closed" in caught.value.__notes__[0]
    assert "could not be closed" in caplog.text
    del client


async def test_a_cancellation_does_not_break_the_closing_off():
    """It is raised when everything is closed."""
    closed, go_on = [], asyncio.Event()

    async def session():
        async with holdfast.scope("session"):
            return holdfast.track(AsyncClient(closed, wait=go_on))

    task = asyncio.create_task(session())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(closed) == 1


async def test_an_anyio_scope_that_cancels_again_and_again_does_not_either():
    """It cancels in every pass of the loop until its block has ended."""
    import anyio

    closed, go_on = [], asyncio.Event()
    with anyio.CancelScope() as cancel:
        async with holdfast.scope("session"):
            client = holdfast.track(AsyncClient(closed, wait=go_on))
            asyncio.get_running_loop().call_later(0.01, go_on.set)
            cancel.cancel()
    assert closed == [client]


async def test_tasks_and_threads_inside_inherit_it():
    """Whatever carries the context on: tasks, ``to_thread``, pools."""
    closed = []

    async def in_a_task():
        return holdfast.track(Client(closed))

    async with holdfast.ThreadPool(1) as pool, holdfast.scope("session"):
        kept = [
            await asyncio.create_task(in_a_task()),
            await asyncio.to_thread(lambda: holdfast.track(Client(closed))),
            await pool.run(lambda: holdfast.track(Client(closed))),
        ]
    assert closed == kept[::-1]


def test_scopes_can_be_nested():
    """Each closes its own, and the path says where it stands."""
    closed = []
    with holdfast.scope("server"):
        outer = holdfast.track(Client(closed))
        with holdfast.scope("session-17") as scope:
            inner = holdfast.track(Client(closed))
            assert scope.path == "server/session-17"
            assert current_scope() is scope
            assert [one.owner for one in opened("server/session-17")] == ["server/session-17"]
        assert closed == [inner]
        assert current_scope() is not scope
    assert closed == [inner, outer]
    assert current_scope() is None


async def test_what_is_tracked_after_the_end_belongs_to_the_scope_around():
    """A task that outlives its session leaves nothing to nobody."""
    closed, ended = [], asyncio.Event()

    async def straggler():
        await ended.wait()
        return holdfast.track(Client(closed))

    async with holdfast.scope("server"):
        async with holdfast.scope("session"):
            task = asyncio.create_task(straggler())
            await asyncio.sleep(0)
        ended.set()
        client = await task
        assert [one.owner for one in opened("server")] == ["server"]
    assert closed == [client]


def test_a_scope_is_for_one_block():
    """It says so when it is used again."""
    scope = holdfast.scope("session")
    with scope:
        pass
    with pytest.raises(RuntimeError, match="make a new one"), scope:
        pass


def test_its_options_are_checked():
    """A closing without a bound would hold the block for ever."""
    with pytest.raises(TypeError, match="close_timeout"):
        holdfast.scope("session", close_timeout=None)
    with pytest.raises(ValueError, match="close_timeout"):
        holdfast.scope("session", close_timeout=0)


def test_ctrl_c_in_a_close_is_raised_when_the_others_are_closed():
    """Nobody stays open because of it."""
    closed = []
    with pytest.raises(KeyboardInterrupt), holdfast.scope("session"):
        clients = [
            holdfast.track(Client(closed, error=error)) for error in (None, KeyboardInterrupt())
        ]
    assert closed == clients[::-1]


def test_threads_may_track_in_one_scope_at_once(tiny_switches):
    """None is lost."""
    import contextvars

    closed, kept = [], []
    with holdfast.scope("session"):
        context = contextvars.copy_context()

        def work():
            for _ in range(100):
                kept.append(holdfast.track(Client(closed)))

        threads = [threading.Thread(target=context.copy().run, args=(work,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(closed) == 400
    assert set(closed) == set(kept)


def test_a_generator_may_leave_its_scope_in_another_context():
    """What it tracked is closed all the same."""
    import contextvars

    closed = []

    def generate():
        with holdfast.scope("inside"):
            yield holdfast.track(Client(closed))

    generator = generate()
    client = contextvars.copy_context().run(next, generator)
    with contextlib.suppress(StopIteration):
        next(generator)
    assert closed == [client]
