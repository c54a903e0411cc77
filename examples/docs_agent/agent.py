"""Answers a question about the Python standard library: look it up, ask a model, save the exchange.

`answer` is an ordinary async function. To run it over a file of questions, fifty at once:

    holdfast map agent.py:answer questions.jsonl -o answers.jsonl --limit 50 --key id
"""

import atexit
import os
from pathlib import Path
from typing import Any

from exchanges import Exchanges
from knowledge import Knowledge, usual_path
from model import Model
from prompt import SYSTEM, make_prompt

OUT = Path(__file__).parent / "out"

# Ten threads for SQLite, and as many connections, however many sessions there are.
docs = Knowledge(Path(os.environ.get("DOCS_AGENT_KNOWLEDGE") or usual_path(OUT)))
exchanges = Exchanges(Path(os.environ.get("DOCS_AGENT_EXCHANGES") or OUT / "exchanges.db"))
model = Model()


async def answer(ticket: dict[str, Any]) -> dict[str, Any]:
    """Answer one ticket: ``{"id": "q001", "question": "How do I ...?"}``."""
    question = ticket["question"]
    entries = await docs.search(question)
    reply = await model.ask(SYSTEM, make_prompt(question, entries))
    sources = [entry.name for entry in entries]
    await exchanges.save(ticket["id"], question, sources, reply)
    return {"question": question, "answer": reply, "sources": sources}


@atexit.register
def close() -> None:
    """Give the threads and the files back. The model's connections close with the event loop."""
    docs.close()
    exchanges.close()
