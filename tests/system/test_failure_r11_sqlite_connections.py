"""SQLite connections that nobody closes.

From hermes-agent #37011 and crewAI #7492: ``with sqlite3.connect()`` commits and does not close. An agent
object that refers to itself keeps its connection, two or three descriptors in WAL mode, until a full
collection; and a connection in a thread-local variable lives as long as its worker thread. Here they
belong to a pool, or to the scope of the session.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

START = """
import gc, os, sqlite3, tempfile, threading
import holdfast
from holdfast._core.latch import close_stock
from tests.system.failure_programs import report

folder = tempfile.mkdtemp()
path = os.path.join(folder, "a.db")

def fds():
    return len(os.listdir("/proc/self/fd"))

def connect():
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table if not exists t(x)")
    return connection

gc.disable()                                      # = between two full collections
"""

POOL = """
class Engine:
    def __init__(self, pool):
        self.me = self                            # what an agent object looks like
        self.pool = pool

    def step(self):
        with self.pool.borrow() as connection, connection:
            connection.execute("insert into t values(1)")

before = fds()
with holdfast.ResourcePool(connect, max_size=4, descriptors=3, name="db") as pool:
    together = threading.Barrier(40)

    def worker():
        together.wait(20)
        Engine(pool).step()

    for _ in range(100):
        Engine(pool).step()
    threads = [threading.Thread(target=worker) for _ in range(40)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    at_most, drawn = fds() - before, dict(holdfast.track.DESCRIPTORS.holders())["pool 'db'"]
    peak = pool.stats().peak_size
close_stock()                                     # what the process keeps for its threads
left = fds() - before
with sqlite3.connect(path) as connection:
    rows = connection.execute("select count(*) from t").fetchone()[0]
report(at_most=at_most, drawn=drawn, peak=peak, left=left, rows=rows,
       recorded=len(holdfast.track.opened()))
"""

SCOPE = """
class Engine:
    def __init__(self):
        self.me = self
        self.connection = holdfast.track(connect(), descriptors=3)
        self.connection.execute("insert into t values(1)")

before, most = fds(), 0
for n in range(100):
    with holdfast.scope(f"session-{n}"):
        Engine()                                  # dropped, in a cycle
        most = max(most, fds() - before)
report(most=most, left=fds() - before, recorded=len(holdfast.track.opened()),
       drawn=holdfast.track.DESCRIPTORS.drawn)
"""


def test_a_hundred_dropped_engines_and_forty_threads_share_four_connections():
    """No collection is needed, and every row is there."""
    figures = run_program(START + POOL).figures

    assert figures["peak"] <= 4
    assert figures["at_most"] <= 4 * 3
    assert figures["drawn"] <= 4 * 3
    assert figures["rows"] == 140
    assert figures["left"] <= 0
    assert figures["recorded"] == 0


def test_connections_of_a_session_are_closed_with_its_scope():
    """Although the object that holds them lies in a cycle, and nothing is collected."""
    figures = run_program(START + SCOPE).figures

    assert figures["most"] <= 3
    assert figures["left"] <= 0
    assert figures["recorded"] == figures["drawn"] == 0
