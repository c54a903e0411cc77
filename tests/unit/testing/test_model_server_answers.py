"""How the model server finds the question and the context, and what it answers."""

import pytest
from hypothesis import given, strategies as st

from holdfast.testing.model_server._answers.answer import Answer, answer
from holdfast.testing.model_server._answers.context import split_prompt
from holdfast.testing.model_server._answers.prompt import Piece, Prompt, Tool, tokens_in
from holdfast.testing.model_server._answers.ranking import best_sentences
from holdfast.testing.model_server._answers.text import sentences, words

SKY = "The sky above the port was grey."
SEA = "The sea was blue and calm."
SHIP = "A ship with red sails came in."
WEATHER = f"{SKY} {SEA} {SHIP}"


def ask(text: str, **options: object) -> Answer:
    """Answer one message of a user."""
    given = {
        "pieces": (Piece("user", text, 0),),
        "must_call": (),
        "schema": None,
        "max_tokens": 100,
        "stop": (),
        "input_tokens": 1,
    }
    return answer(Prompt(**{**given, **options}))  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is answered


def test_the_sentence_that_matches_the_question_is_quoted():
    """The answer is the sentence of the context that shares the question's words."""
    said = ask(f"Context:\n{WEATHER}\n\nQuestion: What colour was the sea?")

    assert (said.text, said.finish) == (SEA, "end")


def test_another_question_about_the_same_context_gets_another_sentence():
    """The answer depends on the question, not only on the context."""
    said = ask(f"Context:\n{WEATHER}\n\nQuestion: Which sails had the ship?")

    assert said.text == SHIP


def test_a_context_without_the_sentence_does_not_get_it():
    """What is quoted was in the context that was passed: the wrong context shows."""
    said = ask(f"Context:\n{SKY} {SHIP}\n\nQuestion: What colour was the sea?")

    assert said.text == (
        "The context given does not answer this. The question was: What colour was the sea?"
    )


def test_without_context_the_answer_says_so_and_repeats_the_question():
    """A question alone is not answered."""
    said = ask("What colour was the sea?")

    assert said.text == "No context was given. The question was: What colour was the sea?"


def test_without_a_question_the_answer_says_so():
    """Blank text is no question."""
    said = ask(" \n ")

    assert said.text == "No question was asked."


@given(st.text(max_size=400))
def test_any_prompt_gets_the_same_answer_twice(text):
    """No prompt breaks it, and nothing but the prompt decides."""
    first = ask(text)

    assert first == ask(text)
    assert "".join(first.pieces()) == first.text
    assert len(list(first.pieces())) == first.tokens <= 100


@given(
    st.lists(st.sampled_from([SKY, SEA, SHIP, "Nothing to see."]), max_size=6), st.text(max_size=50)
)
def test_a_quote_is_always_from_the_context(context, question):
    """Whatever is quoted stands in the context word for word."""
    quoted = best_sentences(question, ["\n\n".join(context)])

    assert all(quote in " ".join(context) for quote in quoted)


# ---------------------------------------------------------------- ranking


def test_rare_words_count_more_than_common_ones():
    """A word that is in every sentence decides nothing."""
    passages = ["The pool waits for work. The pool closes at noon. The pool has a queue."]

    assert best_sentences("When does the pool take its queue?", passages) == [
        "The pool has a queue."
    ]


def test_plural_and_capitals_do_not_matter():
    """Words are compared in small letters and without a plural's s."""
    assert words("Threads, THREAD and class") == ["thread", "thread", "and", "class"]


def test_close_sentences_are_quoted_together_in_the_order_of_the_text():
    """Up to three sentences that score nearly as well as the best one are quoted."""
    text = (
        "A lock guards the list. Rain fell all day long. "
        "The lock guards a file. The lock guards it all."
    )

    assert best_sentences("lock guards", [text]) == [
        "A lock guards the list.",
        "The lock guards a file.",
        "The lock guards it all.",
    ]


def test_a_question_of_stop_words_is_taken_by_its_words():
    """If no word carries meaning, all words count."""
    assert best_sentences("to be or not to be", ["It is not to be. Rain fell all day."]) == [
        "It is not to be."
    ]


# ---------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here now. Two is there too! Is three the last?", 3),
        ("Wrapped lines of one\nsentence are one.", 1),
        ("Use e.g. Linux or macOS for it. It runs i.e. Works there.", 2),
        ('He said "it is done." Then he left the room.', 2),
        ("- first item of the list\n- second item of the list", 2),
        ("1. first item of the list\n2) second item of the list", 2),
        ("A paragraph without an end\n\nAnother paragraph without an end", 2),
        ("It stops at 3.5 seconds. and goes on here.", 1),
        ("", 0),
    ],
)
def test_text_is_cut_into_sentences(text, expected):
    """Full stops, list items and empty lines end a sentence; wrapped lines do not."""
    found = sentences(text)

    assert len(found) == expected
    assert " ".join(found) == " ".join(text.split())


def test_a_heading_belongs_to_the_sentence_after_it():
    """A quote says what it is about."""
    found = sentences("[1]\n\nos.path.join\n\nJoin one or more path components.\n\nSee also")

    assert found == ["[1] os.path.join Join one or more path components.", "See also"]


@given(st.text(alphabet="ab. \n-!1", max_size=200))
def test_no_word_is_lost_in_cutting(text):
    """All sentences together are the text, apart from white space."""
    assert " ".join(sentences(text)).split() == text.split()


# ---------------------------------------------------------------- question and context


@pytest.mark.parametrize(
    "text",
    [
        f"Context:\n{SEA}\n\nQuestion: What colour?",
        f"Question: What colour?\nContext: {SEA}",
        f"<context>{SEA}</context>\nWhat colour?",
        f"<documents><document index='1'>{SEA}</document></documents>\n\nWhat colour?",
        f"<context>\n{SEA}\n</context>\n<question>What colour?</question>",
        f"{SEA}\n\nWhat colour?",
        f"Use this.\n\n## Context:\n{SEA}\n\n**Question:** What colour?\n\nAnswer:",
        f"<context>{SEA}</context>\n\nQuestion: What colour?\nAnswer:",
    ],
)
def test_question_and_context_are_told_apart(text):
    """Tags, labels, or just the last paragraph: the usual forms of a prompt are understood."""
    question, passages = split_prompt([Piece("user", text, 0)])

    assert question == "What colour?"
    assert " ".join(" ".join(passages).split()) == SEA


def test_context_may_stand_in_a_system_prompt_a_document_or_a_tool_result():
    """Marked context counts wherever it is; unmarked text of the system does not."""
    question, passages = split_prompt(
        [
            Piece("system", f"Be brief. <context>{SKY}</context>", -1),
            Piece("document", SEA, 0),
            Piece("user", "What colour?", 0),
            Piece("assistant", "I look it up.", 1),
            Piece("tool", SHIP, 2),
        ]
    )

    assert question == "What colour?"
    assert passages == [SKY, SEA, SHIP]


def test_the_last_message_of_the_user_has_the_question():
    """Earlier turns are neither question nor context."""
    question, passages = split_prompt(
        [Piece("user", "First one?", 0), Piece("assistant", SEA, 1), Piece("user", "And now?", 2)]
    )

    assert (question, passages) == ("And now?", [])


def test_a_tag_that_is_never_closed_reaches_to_the_end():
    """Broken marking loses nothing."""
    _, passages = split_prompt([Piece("user", f"Tell me.\n<context>{SEA}", 0)])

    assert passages == [SEA]


@given(st.text(alphabet="<>/contexqusi:\n ", max_size=200))
def test_any_marking_is_read(text):
    """No mixture of tags and labels breaks the reading."""
    question, passages = split_prompt([Piece("user", text, 0)])

    assert isinstance(question, str)
    assert all(passage.strip() for passage in passages)


# ---------------------------------------------------------------- where it ends


def test_max_tokens_cuts_the_answer():
    """A token is four characters."""
    said = ask(f"<context>{SEA}</context> What colour was the sea?", max_tokens=3)

    assert (said.text, said.finish, said.tokens) == (SEA[:12], "length", 3)


def test_a_stop_text_ends_the_answer_before_it():
    """The earliest stop text counts, and is not part of the answer."""
    said = ask(f"<context>{SEA}</context> What colour was the sea?", stop=("calm", " blue"))

    assert (said.text, said.finish, said.stop) == ("The sea was", "stop", " blue")


def test_a_stop_text_beyond_max_tokens_is_not_met():
    """What is not said can't stop anything."""
    said = ask(f"<context>{SEA}</context> How was the sea?", stop=("calm",), max_tokens=6)

    assert (said.text, said.finish, said.stop) == (SEA[:24], "length", None)


def test_no_tokens_means_no_text():
    """With max_tokens 0 nothing is said."""
    said = ask("Well?", max_tokens=0)

    assert (said.text, said.finish) == ("", "length")


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_four_characters_are_a_token(characters, tokens):
    """A rest counts as one."""
    assert tokens_in(characters) == tokens


# ---------------------------------------------------------------- tools and schemas


def test_of_several_tools_the_one_that_fits_the_question_is_called():
    """Name and description are matched against the question."""
    tools = (
        Tool("get_weather", "Weather of a city", {"type": "object"}),
        Tool("send_mail", "Send a letter to somebody", {"type": "object"}),
    )

    said = ask("Send a letter to Ann, please.", must_call=tools)

    assert said.tool == tools[1]
    assert (said.text, said.finish) == ("{}", "tool")


def test_the_arguments_carry_the_question():
    """A test can see in the arguments what was asked."""
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}

    said = ask("Find the sea!", must_call=(Tool("find", "", schema),))

    assert said.text == '{"query":"Find the sea!"}'


def test_an_output_schema_is_filled_with_the_answer():
    """Structured output holds the quote that prose would have been."""
    schema = {"type": "object", "properties": {"said": {"type": "string"}}}

    said = ask(f"<context>{SEA}</context> What colour was the sea?", schema=schema)

    assert said.text == f'{{"said":"{SEA}"}}'
    assert said.finish == "end"
