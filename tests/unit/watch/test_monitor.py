"""The monitor: samples by itself, a word at each change, and no harm to the program."""

import asyncio
import logging
import os
import socket
import threading
from contextlib import ExitStack

import pytest

import holdfast
from holdfast.sense.reading import Reading
from holdfast.watch import Change, Monitor, Threshold, _readings
from holdfast.watch.snapshot import SOURCES

WAIT = 10.0


@pytest.fixture
def steady(monkeypatch):
    """A machine on which nothing is near its limit, whatever this one is."""
    set_used(monkeypatch, 0.1)


def set_used(monkeypatch, share, name="memory"):
    """Let the bound of a resource be so far used, as the monitor reads it."""
    real = _readings.bounds()
    values = {each.name: Reading(each.name, 10, each.unit, 1000, "a test") for each in real}
    values[name] = Reading(name, share * 1000, name, 1000, "a test")
    found = type(real)(*(values[each.name] for each in real))
    monkeypatch.setattr(_readings, "bounds", lambda: found)
    monkeypatch.setattr(_readings, "memory_bound", lambda: found.memory)
    monkeypatch.setattr(_readings, "pressure_readings", tuple)


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.INFO, "holdfast.monitor")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_sample_is_everything_now(steady):
    """Whether the monitor runs or not."""
    with holdfast.ThreadPool(2, name="db") as pool:
        pool.submit(pow, 2, 2).result()
        found = Monitor().sample()

    assert found.fds > 2
    assert found.threads >= 1
    assert found.rss_bytes > 1_000_000
    assert [each.stats.completed for each in found.pools if each.stats.name == "db"] == [1]
    assert [verdict.name for verdict in found.trends] == ["descriptors", "threads", "memory"]
    assert found.kinds
    assert found.levels["memory"] == "ok"
    assert found.monitor.samples == 1


def test_a_monitor_that_was_never_started_keeps_nothing_open():
    """The fixture around each test would find a descriptor."""
    before = holdfast.sense.sample().fds

    Monitor().sample()

    assert holdfast.sense.sample().fds == before


def test_it_takes_samples_by_itself(fake_clock, steady):
    """At its interval, by the clock in use when it was made."""
    with Monitor(interval=5.0) as monitor:
        for _ in range(4):
            fake_clock.wait_for_waiters(1)
            fake_clock.advance(5.0)
        fake_clock.wait_for_waiters(1)

        assert monitor.running
        assert monitor.stats().samples == 5
        assert len(monitor.history("descriptors", seconds=60.0)) == 5

    assert not monitor.running


def test_start_and_close_may_be_repeated(steady):
    """And it can be started anew."""
    monitor = Monitor(interval=60.0)

    assert monitor.start()
    assert monitor.start()
    assert monitor.close()
    assert monitor.close()
    assert monitor.start()
    assert monitor.close()
    assert monitor not in SOURCES


def test_all_monitors_share_one_thread(steady):
    """A thread for the process, and not for each."""
    with Monitor(interval=60.0), Monitor(interval=60.0), Monitor(interval=60.0):
        names = [thread.name for thread in threading.enumerate()]

    assert names.count("holdfast:monitor") == 1


def test_a_change_of_level_is_told_once(fake_clock, monkeypatch, records):
    """By one record and one call, up and down."""
    changes: list[Change] = []
    set_used(monkeypatch, 0.5)
    monitor = Monitor(on_change=changes.append)
    monitor.sample()

    set_used(monkeypatch, 0.85)
    for _ in range(30):
        fake_clock.advance(1.0)
        monitor.sample()
    set_used(monkeypatch, 0.5)
    for _ in range(30):
        fake_clock.advance(1.0)
        monitor.sample()

    assert [(each.kind, each.name, each.before, each.now) for each in changes] == [
        ("level", "memory", "ok", "caution"),
        ("level", "memory", "caution", "ok"),
    ]
    assert records()[0] == "memory: caution, 0.00085 MB of 0.001 MB (a test)"
    assert len(records()) == 2
    assert changes[0].snapshot.level == "caution"
    assert monitor.stats().changes == 2


def test_a_full_queue_is_a_level_of_its_pool(fake_clock, steady):
    """Named after it, and in its reading."""
    gate = threading.Event()
    changes: list[Change] = []
    monitor = Monitor(on_change=changes.append)
    with holdfast.ThreadPool(1, name="db", max_queue=4) as pool:
        for _ in range(5):
            pool.submit(gate.wait)
        found = monitor.sample()
        gate.set()

    assert [(each.name, each.now) for each in changes] == [("pool db", "critical")]
    assert [each.level for each in found.pools if each.stats.name == "db"] == ["critical"]


def test_a_callback_that_raises_is_counted_and_the_monitor_goes_on(
    fake_clock, monkeypatch, records
):
    """With the callback, at the next change."""
    calls = []

    def fail(change):
        calls.append(change.now)
        msg = "no pager"
        raise OSError(msg)

    set_used(monkeypatch, 0.99)
    with Monitor(on_change=fail) as monitor:
        fake_clock.wait_for_waiters(1)
        set_used(monkeypatch, 0.1)
        for _ in range(40):
            fake_clock.advance(2.0)
            fake_clock.wait_for_waiters(1)
        stats = monitor.stats()

    assert calls == ["critical", "caution", "ok"]
    assert stats.failures == 3
    assert stats.last_failure == "on_change failed with the change of memory: OSError: no pager"
    assert stats.samples > 10


def test_a_reading_that_fails_does_not_end_the_others(fake_clock, monkeypatch, steady):
    """The rest of the sample is there, and the failure is counted."""

    def fail():
        msg = "no such file"
        raise OSError(msg)

    monkeypatch.setattr(_readings, "open_descriptors", fail)
    monitor = Monitor()

    found = monitor.sample()

    assert found.fds > 0
    assert found.kinds == {}
    assert monitor.stats().failures == 1
    assert "no such file" in monitor.stats().last_failure


def test_a_sample_that_fails_is_followed_by_longer_and_longer_pauses(fake_clock, monkeypatch):
    """Up to a minute; and the thread lives on."""

    def fail(*_):
        msg = "broken"
        raise ValueError(msg)

    monkeypatch.setattr(_readings, "bounds", fail)
    monitor = Monitor()

    pauses = [monitor.tick() for _ in range(9)]

    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    monkeypatch.undo()
    assert monitor.tick() == 1.0
    monitor.close()


def test_records_are_never_a_flood(fake_clock, monkeypatch, records):
    """Ten at once, then one in thirty seconds, and the next says how many were held back."""
    changes = []
    monitor = Monitor(
        on_change=changes.append, thresholds={"memory": Threshold(0.5, 0.9, calm_s=0.0)}
    )
    for n in range(200):
        set_used(monkeypatch, 0.6 if n % 2 else 0.1)
        fake_clock.advance(2.0)  # as long as the memory bound is kept
        monitor.sample()

    assert len(changes) == 199
    assert len(records()) <= 10 + 200 * 2 / 30 + 1
    assert "more were not logged)" in records()[-1]
    assert monitor.stats().held_back == 199 - len(records())


def test_a_refused_thread_is_a_record_and_no_error(monkeypatch, records, steady):
    """Samples can be asked for nevertheless."""

    def refuse(*_):
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monitor = Monitor()
    with monkeypatch.context() as patch:
        patch.setattr("holdfast.watch._ticker.start_thread", refuse)

        assert not monitor.start()

    assert not monitor.running
    assert "takes samples only when it is asked to" in records()[0]
    assert monitor.sample().fds > 0


def test_close_can_be_called_from_a_callback(monkeypatch):
    """It does not wait for itself."""
    set_used(monkeypatch, 0.99)
    closed = threading.Event()

    def close(_):
        assert monitor.close()
        closed.set()

    monitor = Monitor(on_change=close)
    monitor.start()

    assert closed.wait(WAIT)
    assert not monitor.running


def test_a_callback_may_ask_for_a_snapshot_in_another_thread(monkeypatch):
    """The monitor holds no lock while it tells."""
    set_used(monkeypatch, 0.99)
    found = []

    def ask(_):
        thread = threading.Thread(target=lambda: found.append(monitor.sample()))
        thread.start()
        thread.join(WAIT)

    monitor = Monitor(on_change=ask)
    monitor.sample()

    assert len(found) == 1


def test_close_returns_within_its_timeout(monkeypatch):
    """And says that a callback is still running."""
    set_used(monkeypatch, 0.99)
    inside, gate = threading.Event(), threading.Event()

    def block(_):
        inside.set()
        gate.wait()

    monitor = Monitor(on_change=block)
    monitor.start()
    assert inside.wait(WAIT)

    assert not monitor.close(timeout=0.01)
    gate.set()
    assert monitor.close(timeout=WAIT)


def test_the_lag_of_a_loop_is_in_its_samples(steady):
    """With ``async with``, until its end."""

    async def main():
        async with Monitor(interval=60.0) as monitor:
            monitor.sample()
            await asyncio.sleep(0.25)
            found = monitor.sample().loop_lag_s
        return found, monitor.sample().loop_lag_s

    inside, after = asyncio.run(main())

    assert inside is not None
    assert after is None


def test_the_line_that_opened_a_descriptor_is_its_place(fake_clock, steady):
    """Told by whoever knows it."""
    with ExitStack() as stack:
        opened: list[int] = []
        monitor = Monitor(places=lambda: dict.fromkeys(opened, "app.py:10 fetch"))
        for minute in range(5 * 60):
            if minute > 240:
                opened += os.pipe()
                stack.callback(os.close, opened[-1])
                stack.callback(os.close, opened[-2])
            fake_clock.advance(60.0)
            monitor.sample()
        trend = monitor.trends[0]

    assert trend.evidence == "strong"
    assert str(trend).endswith("100 per cent of the growth is app.py:10 fetch")
    assert trend.per_minute == pytest.approx(2.0, rel=0.2)


def test_connections_that_nobody_closes_are_named_with_certainty(fake_clock, steady, records):
    """Real sockets, whose peer has closed them a while ago."""
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        monitor = Monitor()
        monitor.sample()
        for _ in range(30):
            for _ in range(2):
                stack.enter_context(socket.create_connection((host, port)))
                server.accept()[0].close()
            fake_clock.advance(20.0)
            monitor.sample()
        trend = monitor.trends[0]

    assert trend.evidence == "certain"
    (growth,) = trend.growth
    assert str(growth) == f"TCP to 127.0.0.1:{port} in CLOSE_WAIT"
    assert any("in CLOSE_WAIT" in record for record in records())


def test_a_growth_is_told_again_when_an_hour_and_when_ten_minutes_are_left(fake_clock, steady):
    """And not in between, though the forecast changes with each look."""
    changes: list[Change] = []
    with ExitStack() as stack:
        opened: list[int] = []
        monitor = Monitor(places=lambda: dict.fromkeys(opened, "leak"), on_change=changes.append)
        for minute in range(4 * 60 + 116):
            if minute > 240:
                for _ in range(4):
                    opened += os.pipe()
                    stack.callback(os.close, opened[-1])
                    stack.callback(os.close, opened[-2])
            fake_clock.advance(60.0)
            monitor.sample()

    told = [(each.now, each.snapshot.trends[0].left_s) for each in changes if each.kind == "trend"]
    assert [evidence for evidence, _ in told] == ["strong"] * 3
    assert told[0][1] > 3600 >= told[1][1] > 600 >= told[2][1]


def test_bad_arguments_are_refused():
    """When it is made."""
    with pytest.raises(ValueError, match="interval"):
        Monitor(interval=0)
    with pytest.raises(TypeError, match="on_change"):
        Monitor(on_change=3)
    with pytest.raises(ValueError, match="there is no reading"):
        Monitor(thresholds={"disk": None})
    with pytest.raises(KeyError):
        Monitor().history("disk")
