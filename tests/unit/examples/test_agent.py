"""The agent's one function, with a model that says what the test wants."""

import asyncio
import sqlite3
from collections import Counter

import agent
import pytest
from exchanges import Exchanges
from knowledge import Knowledge
from model import Model, ModelError, Settings
from protocols import OPENAI

pytestmark = pytest.mark.system


@pytest.fixture
async def ready(server, reply, knowledge_path, tmp_path, monkeypatch):
    """The agent, with a knowledge base and files of its own."""
    server.replies = [reply({"choices": [{"message": {"content": "Use statistics.median."}}]})]
    model = Model(Settings(OPENAI, server.url, "m"))
    monkeypatch.setattr(agent, "docs", Knowledge(knowledge_path))
    monkeypatch.setattr(agent, "exchanges", Exchanges(tmp_path / "exchanges.db"))
    monkeypatch.setattr(agent, "model", model)
    yield agent
    await model.close()
    agent.docs.close()
    agent.exchanges.close()


TICKET = {"id": "t1", "question": "How do I find the median of a list of numbers?"}


async def test_a_ticket_is_looked_up_answered_and_saved(ready, server):
    """What the model read and said is what is kept."""
    result = await ready.answer(TICKET)

    row = sqlite3.connect(ready.exchanges.path)
    saved = row.execute("SELECT ticket, question, answer FROM exchange").fetchall()
    row.close()
    prompt = server.requests[0][2]["messages"][-1]["content"]
    assert result["answer"] == "Use statistics.median."
    assert "statistics.median" in result["sources"]
    assert len(result["sources"]) == 5
    assert "<document>\nstatistics.median(data)" in prompt
    assert prompt.endswith(f"Question: {TICKET['question']}")
    assert saved == [("t1", TICKET["question"], "Use statistics.median.")]


async def test_many_sessions_share_a_few_threads_and_connections(ready):
    """However many there are."""
    tickets = [{**TICKET, "id": f"t{number}"} for number in range(200)]

    results = await asyncio.gather(*(ready.answer(ticket) for ticket in tickets))

    assert Counter(result["answer"] for result in results) == {"Use statistics.median.": 200}
    assert await ready.exchanges.count() == 200
    docs, exchanges = ready.docs.db.stats(), ready.exchanges.db.stats()
    assert docs.readers.threads + exchanges.readers.threads <= 10
    assert docs.connections + exchanges.connections <= 13
    assert exchanges.writes == 200


async def test_a_session_whose_model_fails_saves_nothing(ready, server, reply):
    """The error is the session's outcome."""
    server.replies = [reply({}, 500)]

    with pytest.raises(ModelError, match="answered 500"):
        await ready.answer(TICKET)

    assert await ready.exchanges.count() == 0


async def test_closing_gives_threads_and_files_back(ready):
    """As it happens when the process ends; a second time is no error."""
    await ready.answer(TICKET)

    ready.close()
    ready.close()

    docs, exchanges = ready.docs.db.stats(), ready.exchanges.db.stats()
    assert docs.connections == exchanges.connections == 0
    assert docs.readers.threads == exchanges.readers.threads == 0
