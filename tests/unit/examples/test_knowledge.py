"""The index: how it is built, kept and searched."""

import json
import sqlite3

import harvest
import knowledge
import pytest

LEAST_ENTRIES = 4_000
LEAST_HIT_RATE = 0.80

ENTRIES = [
    harvest.Entry("statistics", "module", "", "Basic statistics module."),
    harvest.Entry("statistics.median", "function", "(data)", "Return the median of numeric data."),
    harvest.Entry("statistics.mean", "function", "(data)", "Return the sample arithmetic mean."),
    harvest.Entry("shutil.rmtree", "function", "(path)", "Recursively delete a directory tree."),
]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A knowledge base of four entries."""
    monkeypatch.setattr(harvest, "harvest", lambda: ENTRIES)
    path = tmp_path / "small.db"
    knowledge.build(path)
    docs = knowledge.Knowledge(path)
    yield docs
    docs.close()


async def test_the_best_entry_comes_first_and_whole(small):
    """An entry comes back as it was read."""
    found = await small.search("How do I get the median?")

    assert found[0] == ENTRIES[1]


async def test_words_are_found_in_any_form(small):
    """Deleting is delete, and directories are one directory."""
    found = await small.search("deleting directories")

    assert [entry.name for entry in found] == ["shutil.rmtree"]


async def test_no_more_entries_come_than_were_asked_for(small):
    """The prompt has a bound."""
    assert len(await small.search("statistics median mean", 2)) == 2


async def test_a_question_without_words_finds_nothing(small):
    """It is not an error."""
    assert await small.search("???") == []


async def test_calls_use_one_connection_again(small):
    """No call leaves a connection open."""
    for _ in range(20):
        await small.search("median")

    assert small.db.stats().connections <= 2  # one for what has proved to be short


async def test_a_missing_knowledge_base_is_an_error_that_says_how_to_make_it(tmp_path):
    """The sentence can be followed."""
    docs = knowledge.Knowledge(tmp_path / "none.db")

    with pytest.raises(knowledge.KnowledgeError, match=r"none\.db .*make it with: .*knowledge\.py"):
        await docs.search("median")

    assert docs.db.stats().connections == 0
    docs.close()


def test_a_knowledge_base_is_current_until_the_code_or_the_python_changes(small, monkeypatch):
    """It is built again exactly then."""
    before = knowledge.is_current(small.path)

    monkeypatch.setattr(knowledge, "stamp", lambda: "another Python")

    assert (before, knowledge.is_current(small.path)) == (True, False)


def test_what_is_no_database_is_not_current(tmp_path):
    """It is built anew instead of being an error."""
    path = tmp_path / "knowledge.db"
    absent = knowledge.is_current(path)
    path.write_text("this is not a database, although it is long enough to be looked at " * 20)

    assert (absent, knowledge.is_current(path)) == (False, False)


async def test_a_build_that_fails_leaves_what_was_there(small, monkeypatch):
    """Neither half a file nor a second one stays."""

    def fail():
        raise OSError("no room")

    monkeypatch.setattr(harvest, "harvest", fail)

    with pytest.raises(OSError, match="no room"):
        knowledge.build(small.path)

    assert [path.name for path in small.path.parent.iterdir()] == ["small.db"]
    assert await small.search("median")


class _WithoutFts5(sqlite3.Connection):
    def execute(self, sql, *parameters):
        if "fts5" in sql:
            raise sqlite3.OperationalError("no such module: fts5")
        return super().execute(sql, *parameters)


def test_an_sqlite_without_fts5_is_named_as_the_reason():
    """The sentence says what is missing and where it can be had."""
    connection = sqlite3.connect(":memory:", factory=_WithoutFts5)

    with pytest.raises(knowledge.KnowledgeError, match=r"without FTS5.*use a Python whose"):
        knowledge.fill(connection, ENTRIES)

    connection.close()


@pytest.mark.system
def test_the_library_of_this_python_has_thousands_of_entries(knowledge_path):
    """Real text, of every kind, and nothing without a word."""
    connection = sqlite3.connect(knowledge_path)
    try:
        count = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
        empty = connection.execute("SELECT count(*) FROM entry WHERE doc = ''").fetchone()[0]
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM entry")}
    finally:
        connection.close()

    assert count >= LEAST_ENTRIES
    assert empty == 0
    assert kinds == {"module", "class", "function", "method", "property"}


@pytest.mark.system
async def test_most_questions_find_their_entry_among_the_first_five(
    knowledge_path, docs_agent, record_property
):
    """The share of hits over all shipped questions has a floor."""
    lines = (docs_agent / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    docs = knowledge.Knowledge(knowledge_path)

    misses = [
        question["id"]
        for question in questions
        if question["expect"]
        not in {entry.name for entry in await docs.search(question["question"], 5)}
    ]

    docs.close()
    rate = 1 - len(misses) / len(questions)
    record_property("retrieval_hit_rate", rate)
    assert rate >= LEAST_HIT_RATE, f"{rate:.1%}; not found: {misses}"
