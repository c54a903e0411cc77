"""Which part of a prompt is the question, and which the context.

The rule, in this order; ``docs/model_server.md`` tells it to users:

1. *Marked context* is what stands between ``<context>`` tags (or ``document``, ``documents``,
   ``passage``, ``source``), after a line that begins with ``Context:`` (up to a line that begins
   with ``Question:``, or to the end), in an attached document, or in a tool's result; wherever in
   the prompt it is.
2. The *question* is in the last message of the user that has text: after the last line that begins
   with ``Question:``, or inside ``<question>``; without those, the last paragraph. An ``Answer:``
   at the very end is skipped.
3. If no context is marked, the rest of that message is the context.
"""

import re
from collections.abc import Sequence

from holdfast.testing.model_server._answers.prompt import Piece
from holdfast.testing.model_server._answers.text import paragraphs

__all__ = ("split_prompt",)

_TAG = re.compile(
    r"<(/?)(context|documents?|passages?|sources?)(?:[ \t\n][^<>]{0,200})?>", re.IGNORECASE
)
_INNER_TAG = re.compile(
    r"</?(?:context|document(?:s|_content)?|passages?|sources?)(?:[ \t\n][^<>]{0,200})?>",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^[ \t#*]*(context|question)\**[ \t]*:\**", re.IGNORECASE | re.MULTILINE)
_QUESTION_TAG = re.compile(r"</?question>", re.IGNORECASE)


def split_prompt(pieces: Sequence[Piece]) -> tuple[str, list[str]]:
    """Return the question ("" if there is none) and the passages of the context."""
    asking = max(
        (one.turn for one in pieces if one.source == "user" and one.text.strip()), default=None
    )
    marked: list[str] = []
    unmarked: list[str] = []
    for piece in pieces:
        if piece.source in {"tool", "document"}:
            marked.append(piece.text)
        elif piece.source != "assistant":
            found, rest = _split_marked(piece.text)
            marked += found
            if piece.source == "user" and piece.turn == asking:
                unmarked.append(rest)
    question, others = _take_question(unmarked)
    passages = [passage for passage in marked if passage.strip()]
    return question, passages or [other for other in others if other.strip()]


def _split_marked(text: str) -> tuple[list[str], str]:
    """Take the marked context out of ``text``; return it and what is left."""
    marked, rest = _split_tagged(text)
    left: list[str] = []
    kind, begin = "", 0
    # The end of the text closes the last label's part.
    for label in (*_LABEL.finditer(rest), None):
        part = rest[begin : label.start() if label else len(rest)]
        if kind == "context":
            marked.append(part)
        else:
            left.append(part)
        if label:
            kind = label[1].lower()
            begin = label.end() if kind == "context" else label.start()
    return marked, "".join(left)


def _split_tagged(text: str) -> tuple[list[str], str]:
    marked: list[str] = []
    left: list[str] = []
    depth = begin = 0
    for tag in _TAG.finditer(text):
        if not tag[1]:
            if depth == 0:
                left.append(text[begin : tag.start()])
                begin = tag.end()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                marked.append(_INNER_TAG.sub("\n\n", text[begin : tag.start()]))
                begin = tag.end()
    # A tag that is never closed reaches to the end.
    (marked if depth else left).append(text[begin:])
    return marked, "\n\n".join(left)


def _take_question(texts: list[str]) -> tuple[str, list[str]]:
    """Take the question out of the last text; return it and what is left of all."""
    others = [text for text in texts if text.strip()]
    if not others:
        return "", []
    last = _without_answer_label(others.pop())
    tagged = _QUESTION_TAG.split(last)
    if len(tagged) > 1:
        return tagged[1].strip(), [*others, tagged[0], *tagged[2:]]
    labels = list(_LABEL.finditer(last))
    if labels:
        label = labels[-1]
        question, *after_it = paragraphs(last[label.end() :].lstrip())
        return question.strip(), [*others, last[: label.start()], "\n\n".join(after_it)]
    *before_it, question = paragraphs(last.strip())
    return question.strip(), [*others, "\n\n".join(before_it)]


def _without_answer_label(text: str) -> str:
    """Drop the ``Answer:`` that many prompts end with."""
    above, _, line = text.rstrip().rpartition("\n")
    return above if line.strip(" \t#*").lower() == "answer:" else text
