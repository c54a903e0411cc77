"""The snapshot: everything now, in one record that everything prints."""

import dataclasses
import gc
import json

import pytest

import holdfast
from holdfast.pools._living import living_pools
from holdfast.watch import Monitor, Snapshot
from holdfast.watch.snapshot import VERSION


def names(snapshot):
    return [each.stats.name for each in snapshot.pools]


def test_it_shows_every_pool_with_its_figures():
    """Threads and coroutines, in the order in which they were made."""
    with holdfast.ThreadPool(3, name="db") as db, holdfast.AsyncPool(5, name="llm"):
        db.submit(pow, 2, 2).result()

        found = holdfast.snapshot()

    mine = [each for each in found.pools if each.stats.name in {"db", "llm"}]
    assert [(each.kind, each.stats.name) for each in mine] == [
        ("threads", "db"),
        ("coroutines", "llm"),
    ]
    assert mine[0].stats.completed == 1
    assert found.worker_threads >= 0


def test_it_keeps_no_pool_alive():
    """A pool that is forgotten is no longer there."""
    pool = holdfast.ThreadPool(1, name="forgotten")
    assert "forgotten" in names(holdfast.snapshot())

    del pool
    gc.collect()

    assert "forgotten" not in [pool.name for _, pool in living_pools()]


def test_it_is_what_json_can_hold():
    """Versioned, with bounds and who sets them, and quantiles of times."""
    with holdfast.ThreadPool(1, name="db") as pool:
        pool.submit(pow, 2, 2).result()
        told = json.loads(holdfast.snapshot().to_json())

    assert told["version"] == VERSION == 1
    assert next(iter(told)) == "version"
    assert set(told) == {field.name for field in dataclasses.fields(Snapshot)}
    assert set(told["bounds"]["descriptors"]) >= {"value", "bound", "source", "left", "used"}
    (db,) = [each for each in told["pools"] if each["stats"]["name"] == "db"]
    assert set(db["stats"]["run"]) == {"count", "total_s", "p50_s", "p90_s", "p99_s"}
    assert told["budget"]["threads"] == holdfast.current_budget().threads


def test_figures_that_are_no_numbers_are_none_in_json():
    """An endless bound is not JSON."""
    found = holdfast.snapshot()
    limits = dataclasses.replace(
        found.bounds, memory=dataclasses.replace(found.bounds.memory, bound=float("inf"))
    )

    told = json.loads(dataclasses.replace(found, bounds=limits).to_json(indent=2))

    assert told["bounds"]["memory"]["bound"] is None


def test_with_a_monitor_it_has_levels_and_trends():
    """Without one it has none."""
    assert holdfast.snapshot().monitor is None

    with Monitor(interval=60.0):
        found = holdfast.snapshot()

    assert found.monitor.samples >= 1
    assert len(found.trends) == 3
    assert {"descriptors", "threads", "memory"} <= set(found.levels)
    assert holdfast.snapshot().trends == ()


def test_it_is_frozen():
    """Nobody changes what was read."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        holdfast.snapshot().fds = 3


def test_it_prints_as_lines_for_a_person():
    """Each bound, each pool, each growth."""
    with holdfast.ThreadPool(3, name="db"):
        lines = str(holdfast.snapshot()).splitlines()

    assert any(line.startswith("descriptors: ") and " of " in line for line in lines)
    assert "pool db: 0 of 3 threads in flight, 0 queued, 0 abandoned, 0 rejected" in lines
