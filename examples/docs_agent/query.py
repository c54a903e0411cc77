"""Turns a question in plain English into a query for SQLite's full-text index.

The words that every question has ("how do I", "what is the way to") are dropped. The others are
looked for in any order; what people call a thing is looked for beside what the documentation calls
it, but counts for half as much.
"""

import re

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
LONGEST = 32  # words of a question; a pasted page must not become a query of a thousand terms

FILLERS = """
    a about all an and any are as at be been being but by can could did do does doing done each
    find for from function get give gives given go had has have how i if in instead into is it
    its let like make many me method much my need no not of on one or other our out own python
    say should show so some such take than that the their them then there these they thing this
    those through to up use used uses using want was way we were what when where whether which
    while who why will with work would write you your
"""
STOP_WORDS = frozenset(FILLERS.split())
SAME_AS = {
    "delete": "remove",
    "directory": "dir folder",
    "folder": "directory dir",
    "hash": "digest",
    "json": "serialize",
    "length": "len size",
    "multiply": "product",
    "parse": "read",
    "regex": "re pattern regular expression",
    "regular": "re",
    "remove": "delete",
    "save": "write dump",
    "stop": "cancel terminate",
}


def words_of(text: str) -> list[str]:
    """Return the words that carry the meaning of a question, each once, in lower case."""
    words = [word.lower() for word in WORD.findall(text)]
    kept = [word for word in words if word not in STOP_WORDS]
    return list(dict.fromkeys(kept or words))[:LONGEST]


def match_expression(question: str) -> str:
    """Return the FTS5 expression for a question; empty where there is no word in it."""
    words = words_of(question)
    others = [other for word in words for other in SAME_AS.get(word, "").split()]
    # bm25 adds up over the phrases of a query: a word that stands there twice counts twice.
    terms = [*words, *words, *(other for other in others if other not in words)]
    return " OR ".join(f'"{term}"' for term in terms)


def name_words(name: str) -> str:
    """Spell a name as words: ``HTTPServer`` has two, and so has ``read_text``."""
    return " ".join(word for part in re.split(r"[._]+", name) for word in CAMEL.split(part))
