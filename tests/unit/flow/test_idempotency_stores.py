"""What every store of outcomes promises, and what each kind adds."""

import os
import pickle
import signal
import sqlite3
import threading

import pytest

from holdfast._core import clock
from holdfast.errors import PoolClosed, QueueFull
from holdfast.flow.idempotency import MemoryStore, Record, SQLiteStore
from holdfast.testing import FakeClock


class Time:
    """Moves the clock of either kind of store."""

    def __init__(self, fake, monkeypatch):
        self._fake = fake
        self._wall = 1_700_000_000.0
        monkeypatch.setattr(clock, "wall", lambda: self._wall)

    def advance(self, seconds):
        self._fake.advance(seconds)
        self._wall += seconds


@pytest.fixture
def time(monkeypatch):
    with FakeClock() as fake:
        yield Time(fake, monkeypatch)


@pytest.fixture(params=["memory", "sqlite"])
def make(request, time, tmp_path):
    """Give what makes a store of each kind, and closes it."""
    made = []

    def make(**options):
        if request.param == "memory":
            store = MemoryStore(**options)
        else:
            store = SQLiteStore(tmp_path / f"{len(made)}.db", **options)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


# ---------------------------------------------------------------- what both promise


def test_the_first_that_begins_gets_the_claim(make):
    """All later ones get the record, until there is an outcome and afterwards."""
    store = make()

    claim = store.begin("k")
    while_started = store.begin("k")
    assert store.settle("k", claim, {"answer": 42}, None) is True
    afterwards = store.begin("k")

    assert claim.attempt == 1
    assert (while_started.state, while_started.attempt) == ("started", 1)
    assert str(os.getpid()) in while_started.owner
    assert (afterwards.state, afterwards.value, afterwards.error) == ("done", {"answer": 42}, None)


def test_an_error_is_kept_as_an_error(make):
    """Of the same class and content."""
    store = make()

    store.settle("k", store.begin("k"), None, KeyError("why"))
    record = store.get("k")

    assert (record.state, record.value) == ("failed", None)
    assert (type(record.error), record.error.args) == (KeyError, ("why",))


def test_an_outcome_is_kept_once(make):
    """The second one does not count."""
    store = make()
    claim = store.begin("k")

    assert store.settle("k", claim, 1, None) is True
    assert store.settle("k", claim, 2, None) is False

    assert store.get("k").value == 1


def test_who_takes_over_has_the_claim(make):
    """The former owner is not heard any more, nor can it forget the key."""
    store = make()
    old = store.begin("k")

    new = store.begin("k", take_over=True)

    assert new.attempt == 2
    assert store.settle("k", old, "old", None) is False
    assert store.forget("k", old) is False
    assert store.settle("k", new, "new", None) is True
    assert store.begin("k", take_over=True).value == "new"


def test_a_claim_of_a_forgotten_key_is_worth_nothing(make):
    """Also when the key was begun again since, and has the same attempt."""
    store = make()
    old = store.begin("k")

    assert store.forget("k") is True
    new = store.begin("k")

    assert old.attempt == new.attempt == 1
    assert store.settle("k", old, "old", None) is False
    assert store.settle("k", new, "new", None) is True


def test_a_claim_forgets_only_what_it_has_begun(make):
    """Not an outcome."""
    store = make()
    claim = store.begin("k")
    store.settle("k", claim, 1, None)

    assert store.forget("k", claim) is False
    assert store.get("k").value == 1
    assert store.forget("k") is True
    assert store.forget("k") is False
    assert store.get("k") is None


def test_a_key_expires_with_its_age(make, time):
    """From its last change, whatever its state."""
    store = make(max_age=100)
    claim = store.begin("settled later")
    store.begin("never settled")
    time.advance(60)
    store.settle("settled later", claim, 1, None)

    time.advance(60)
    assert store.get("never settled") is None
    assert (store.get("settled later").value, store.get("settled later").age_s) == (1, 60)
    assert store.begin("never settled").attempt == 1

    time.advance(60)
    assert store.get("settled later") is None


def test_work_that_was_taken_over_is_as_old_as_its_last_start(make, time):
    """What was begun between has expired before it."""
    store = make(max_age=100)
    store.begin("taken over")
    store.begin("left alone")
    time.advance(60)
    store.begin("taken over", take_over=True)

    time.advance(60)

    assert store.get("taken over").attempt == 2
    assert store.get("left alone") is None


@pytest.mark.parametrize("most", [1, 3, 64, 200])
def test_the_oldest_outcome_makes_room(make, most):
    """There are never more keys than the bound."""
    store = make(max_records=most)

    for i in range(most * 3):
        store.settle(str(i), store.begin(str(i)), i, None)
        assert count(store) <= most

    assert store.get(str(most * 3 - 1)).value == most * 3 - 1
    assert store.get("0") is None


@pytest.mark.parametrize("most", [3, 128, 129])
def test_work_without_an_outcome_makes_no_room(make, most):
    """To forget it would be to run it twice; so the store refuses, and says what to do."""
    store = make(max_records=most)
    claims = [store.begin(str(i)) for i in range(most)]

    with pytest.raises(QueueFull, match=f"max_records={most}"):
        store.begin("one more")

    assert count(store) == most
    store.settle("1", claims[1], None, None)
    assert store.begin("one more").attempt == 1
    assert [store.get(key) is not None for key in ("0", "1", "2")] == [True, False, True]


def test_one_of_many_threads_gets_the_claim(make):
    """The others get the record."""
    store = make()
    found, barrier = [], threading.Barrier(8)

    def begin():
        barrier.wait(20)
        found.append(store.begin("k"))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sum(not isinstance(one, Record) for one in found) == 1
    assert len(found) == 8


@pytest.mark.parametrize("options", [{"max_records": 0}, {"max_age": 0}, {"max_age": float("inf")}])
def test_every_store_has_bounds(make, options):
    """0 is none, and does not mean that there is no bound."""
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)


def test_nothing_is_kept_for_ever(make):
    """None is no age."""
    with pytest.raises(TypeError, match="max_age"):
        make(max_age=None)


def count(store):
    if isinstance(store, MemoryStore):
        return len(store)
    return store._connection.execute("SELECT count(*) FROM holdfast_calls").fetchone()[0]


# ---------------------------------------------------------------- memory


def test_a_kept_error_holds_no_frames():
    """Nor what their locals hold."""
    store = MemoryStore()
    try:
        raise KeyError  # noqa: TRY301 - an error with a traceback is what is tested
    except KeyError as error:
        store.settle("k", store.begin("k"), None, error)

    kept = store.get("k").error

    assert kept.__traceback__ is None
    assert kept.__cause__ is None


def test_a_closed_memory_is_empty():
    """And can be used again."""
    store = MemoryStore()
    store.begin("k")
    assert "1 started" in repr(store)

    store.close()

    assert len(store) == 0


# ---------------------------------------------------------------- sqlite


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calls.db"


def test_outcomes_survive_the_store(path):
    """And so does the knowledge that work had started."""
    with SQLiteStore(path) as store:
        store.settle("done", store.begin("done"), [1, 2], None)
        store.settle("failed", store.begin("failed"), None, ValueError("why"))
        store.begin("started")

    with SQLiteStore(path) as again:
        assert again.begin("done").value == [1, 2]
        assert again.begin("failed").error.args == ("why",)
        assert again.begin("started").state == "started"


def test_two_stores_share_one_file(path):
    """As those of two processes do."""
    with SQLiteStore(path) as one, SQLiteStore(path) as two:
        claim = one.begin("k")

        assert two.begin("k").state == "started"
        one.settle("k", claim, 1, None)
        assert two.begin("k").value == 1


def test_a_start_is_synchronised_to_the_disk(path):
    """A write-ahead log that is flushed at each commit."""
    with SQLiteStore(path) as store:
        settings = [
            store._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]

    assert settings == ["wal", 2]


def test_a_result_that_can_not_be_kept_is_noted_as_lost(path):
    """It is known that the work was done."""
    with SQLiteStore(path) as store:
        store.settle("k", store.begin("k"), threading.Lock(), None)
        record = store.begin("k")

    assert (record.state, record.value) == ("lost", None)
    assert "returned a lock" in record.note


class UnreadableError(Exception):
    """Can be pickled, and not be made again of what was written."""

    def __init__(self, *, why):
        super().__init__(why)


def test_an_error_that_can_not_be_read_back_is_noted_as_lost(path):
    """When it is written, not when somebody needs it."""
    with SQLiteStore(path) as store:
        store.settle("k", store.begin("k"), None, UnreadableError(why="so"))
        record = store.get("k")

    assert (record.state, record.error) == ("lost", None)
    assert "UnreadableError('so')" in record.note


def test_a_result_that_can_not_be_read_any_more_is_lost(path):
    """Its class has moved since, or the bytes are damaged."""
    with SQLiteStore(path) as store:
        store.settle("k", store.begin("k"), 1, None)
        store._connection.execute("UPDATE holdfast_calls SET outcome = x'00'")

        record = store.get("k")

    assert record.state == "lost"
    assert "can't be read any more" in record.note


def test_other_functions_may_make_the_bytes(path):
    """For those who would rather read JSON than a pickle."""
    import json

    with SQLiteStore(
        path, dumps=lambda value: json.dumps(value).encode(), loads=json.loads
    ) as store:
        store.settle("k", store.begin("k"), {"a": 1}, None)
        raw = store._connection.execute("SELECT outcome FROM holdfast_calls").fetchone()[0]

        assert raw == b'{"a": 1}'
        assert store.get("k").value == {"a": 1}


def test_a_refused_begin_leaves_nothing_behind(path):
    """Neither a record nor an open transaction."""
    with SQLiteStore(path, max_records=1) as store:
        store.begin("a")
        with pytest.raises(QueueFull):
            store.begin("b")

        assert not store._connection.in_transaction
        assert store.get("b") is None


def test_a_busy_file_is_an_error_before_the_start(path):
    """Another process holds it for longer than busy_timeout."""
    with SQLiteStore(path, busy_timeout=0) as store, SQLiteStore(path) as other:
        other._connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.begin("k")
        other._connection.execute("ROLLBACK")

        assert store.begin("k").attempt == 1


def test_a_file_of_a_later_version_is_refused(path):
    """It is not changed."""
    SQLiteStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(ValueError, match="version 99"):
        SQLiteStore(path)


def test_what_is_no_database_is_refused(path):
    """With the database's own error."""
    path.write_text("not a database, but long enough to be taken for one" * 50)

    with pytest.raises(sqlite3.DatabaseError):
        SQLiteStore(path)


def test_a_closed_store_says_so(path):
    """Closing again does nothing."""
    store = SQLiteStore(path)
    store.close()
    store.close()

    assert "closed" in repr(store)
    for use in (lambda: store.begin("k"), lambda: store.get("k"), lambda: store.forget("k")):
        with pytest.raises(PoolClosed):
            use()


def test_a_forgotten_store_closes_its_file(path):
    """The fixture of all tests would find the descriptor."""
    store = SQLiteStore(path)
    store.begin("k")
    del store


def test_the_working_directory_may_change(path, monkeypatch, tmp_path):
    """The file stays where it was."""
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("calls.db")
    monkeypatch.chdir("/")

    store._connection.close()
    store._connection = None
    store.begin("k")
    store.close()

    assert path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_opens_the_file_for_itself(path):
    """And is not held up by a thread of its parent."""
    store = SQLiteStore(path)
    mine = store.begin("of the parent")
    store._lock.acquire()

    child = os.fork()
    if child == 0:
        signal.alarm(20)  # it must not outlive a test that finds it hanging
        try:
            ok = store.begin("of the parent").state == "started"
            ok = ok and store.settle("k", store.begin("k"), "by the child", None)
        except BaseException:  # noqa: BLE001 - the child must end here
            ok = False
        os._exit(0 if ok else 1)
    store._lock.release()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.get("k").value == "by the child"
    assert store.settle("of the parent", mine, 1, None) is True
    store.close()


def test_records_can_be_pickled(path):
    """They are plain data."""
    with SQLiteStore(path) as store:
        store.settle("k", store.begin("k"), 1, None)
        record = store.get("k")

    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - what was just pickled
