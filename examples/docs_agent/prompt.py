"""Writes what the model gets to read: the entries that were found, and then the question."""

import re
from collections.abc import Sequence

from harvest import Entry

SYSTEM = (
    "You answer questions about the Python standard library from the documentation that comes with "
    "them, and from nothing else. Begin with the full name of the function, class or module that "
    "answers the question, then explain it in one or two sentences. If the documentation does not "
    "answer it, say so."
)
EXAMPLE = re.compile(r"^[ \t]*>>> ", re.MULTILINE)
LONGEST_DOC = 1_200  # characters of one entry; five of them stay below 2,000 tokens


def make_prompt(question: str, entries: Sequence[Entry]) -> str:
    """Return the user's message: every entry in tags of its own, the best first, the question."""
    documents = "\n".join(describe(entry) for entry in entries)
    return f"<documents>\n{documents}\n</documents>\n\nQuestion: {question.strip()}"


def describe(entry: Entry) -> str:
    """Return one entry as the model reads it."""
    title = f"{entry.name}{entry.signature} ({entry.kind})"
    text = shorten(without_examples(entry.doc), LONGEST_DOC)
    return f"<document>\n{title}\n\n{text}\n</document>"


def without_examples(doc: str) -> str:
    """Cut a text before its first interactive example; what follows rarely says what it is for."""
    return EXAMPLE.split(doc, maxsplit=1)[0].strip() or doc


def shorten(text: str, longest: int) -> str:
    """Cut a text to a number of characters, between two lines or words where there is one."""
    if len(text) <= longest:
        return text
    head = text[: longest - 4]
    for separator in ("\n", " "):
        cut, found, _ = head.rpartition(separator)
        if found and len(cut) > longest // 2:
            return f"{cut} ..."
    return f"{head} ..."
