"""Connections to SQLite that nobody closes.

From hermes-agent #37011 and #83512, and crewAI #7492: ``with sqlite3.connect(...)`` commits and closes
nothing, so a hundred agents that were dropped hold two hundred descriptors until the collector comes; a
connection for each thread of a pool of forty is eighty more.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

PROGRAM = """
import gc, os, sys, tempfile, threading
import holdfast
from tests.system.failure_programs import report

how = sys.argv[1]
folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "history.db")

def descriptors():
    return len(os.listdir("/proc/self/fd"))

class Agent:                                      # what an agent looks like: it refers to itself
    def __init__(self, db):
        self.me = self
        self.db = db
        db.blocking.execute("INSERT INTO message (text) VALUES ('hello')")
        assert db.blocking.fetch_value("SELECT count(*) FROM message") > 0

db = holdfast.sqlite(path, schema="CREATE TABLE message (id INTEGER PRIMARY KEY, text TEXT)")
gc.disable()                                      # as between two full collections
before = descriptors()
if how == "agents":
    for _ in range(100):
        Agent(db)
else:
    here = threading.Barrier(41)
    go = threading.Event()
    def work():
        Agent(db)
        here.wait()
        go.wait()
    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    here.wait()
during = descriptors()
if how != "agents":
    go.set()
    for thread in threads:
        thread.join()
rows = db.blocking.fetch_value("SELECT count(*) FROM message")
connections = db.stats().connections
closed = db.close()
report(during=during - before, after=descriptors() - before, rows=rows, connections=connections,
       closed=closed, files=sorted(os.listdir(folder.name)))
"""


@pytest.mark.parametrize(("how", "rows"), [("agents", 100), ("threads", 40)])
def test_the_descriptors_are_those_of_a_few_connections(how, rows):
    """One that writes, at most four that read, one for short reads; a few to wake threads with."""
    figures = run_program(PROGRAM, how).figures

    assert figures["rows"] == rows
    assert figures["connections"] <= 6
    assert figures["during"] <= 6 * 3 + 8
    assert figures["closed"] is True
    assert figures["files"] == ["history.db"]
    assert figures["after"] <= 8  # the stock of latches with which threads are woken
