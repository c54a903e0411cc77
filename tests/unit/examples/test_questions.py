"""The shipped questions: real, distinct, and answerable on every supported Python."""

import json
import pydoc
import sqlite3
import sys

import pytest

LEAST_QUESTIONS = 200
LEAST_MODULES = 60


@pytest.fixture(scope="module")
def questions(docs_agent):
    """All of them, in the order of the file."""
    lines = (docs_agent / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def module_of(name):
    """Return the module that a qualified name belongs to."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in sys.modules and module != "builtins":
            return module
    return "builtins"


def test_there_are_hundreds_and_no_two_are_alike(questions):
    """Neither the ids nor the questions repeat."""
    texts = {question["question"].lower() for question in questions}

    assert len(questions) >= LEAST_QUESTIONS
    assert len(texts) == len(questions)
    assert [question["id"] for question in questions] == [
        f"q{number:03}" for number in range(1, len(questions) + 1)
    ]


def test_each_is_a_question_and_does_not_give_its_answer_away(questions):
    """It ends with a question mark and does not hold the name that it asks for."""
    wrong = [
        question
        for question in questions
        if set(question) != {"id", "question", "expect"}
        or not question["question"].endswith("?")
        or len(question["question"].split()) < 4
        or ("." in question["expect"] and question["expect"] in question["question"])
    ]

    assert wrong == []


def test_every_expected_name_exists_on_this_python(questions):
    """It can be imported here, whatever the version."""
    missing = [
        question["expect"] for question in questions if pydoc.locate(question["expect"]) is None
    ]

    assert missing == []


def test_they_cover_the_library(questions):
    """They are not all about three modules."""
    for question in questions:
        pydoc.locate(question["expect"])

    assert len({module_of(question["expect"]) for question in questions}) >= LEAST_MODULES


@pytest.mark.system
def test_every_expected_name_is_an_entry(questions, knowledge_path):
    """It is documented here, under just this name."""
    connection = sqlite3.connect(knowledge_path)
    names = {name for (name,) in connection.execute("SELECT name FROM entry")}
    connection.close()

    missing = [question["expect"] for question in questions if question["expect"] not in names]

    assert missing == []
