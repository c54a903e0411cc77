"""From a prompt to the answer: quotes, a tool call or a filled schema, cut where asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from holdfast.testing.model_server._answers.context import split_prompt
from holdfast.testing.model_server._answers.prompt import TOKEN_CHARS, Prompt, Tool, tokens_in
from holdfast.testing.model_server._answers.ranking import best_sentences, content_words, scores
from holdfast.testing.model_server._answers.schema import fitting
from holdfast.testing.model_server._answers.text import words
from holdfast.testing.model_server._jsontext import write

__all__ = ("Answer", "Finish", "answer")

NO_QUESTION = "No question was asked."
NO_CONTEXT = "No context was given. The question was: "
NO_MATCH = "The context given does not answer this. The question was: "
_LONGEST_QUESTION = 1000

Finish: TypeAlias = Literal["end", "stop", "length", "tool"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says.

    Attributes:
        text: The answer, or the arguments of the tool call as JSON.
        tool: The tool that is called, or None.
        finish: Why it ends: by itself, at a stop text, at ``max_tokens``, or to call a tool.
        stop: The stop text it ended at, or None.
    """

    text: str
    tool: Tool | None
    finish: Finish
    stop: str | None

    @property
    def tokens(self) -> int:
        """Tokens of the text."""
        return tokens_in(len(self.text))

    def pieces(self) -> Iterator[str]:
        """Yield the text token by token."""
        for begin in range(0, len(self.text), TOKEN_CHARS):
            yield self.text[begin : begin + TOKEN_CHARS]


def answer(prompt: Prompt) -> Answer:
    """Answer ``prompt``; nothing but the prompt decides what is answered."""
    question, passages = split_prompt(prompt.pieces)
    if prompt.must_call:
        tool = _best_tool(question, prompt.must_call)
        text = write(fitting(tool.schema, question))
        return _cut(text, prompt.max_tokens, (), tool)
    said = _say(question, passages)
    if prompt.schema is not None:
        return _cut(write(fitting(prompt.schema, said)), prompt.max_tokens, (), None)
    return _cut(said, prompt.max_tokens, prompt.stop, None)


def _say(question: str, passages: list[str]) -> str:
    if not question:
        return NO_QUESTION
    quoted = best_sentences(question, passages)
    if quoted:
        return " ".join(quoted)
    shown = " ".join(question[:_LONGEST_QUESTION].split())
    return (NO_MATCH if passages else NO_CONTEXT) + shown


def _best_tool(question: str, tools: tuple[Tool, ...]) -> Tool:
    """Return the tool whose name and description match the question best, else the first."""
    texts = [words(tool.name.replace("_", " ") + " " + tool.description) for tool in tools]
    ranked = scores(content_words(question), texts)
    return tools[ranked.index(max(ranked))]


def _cut(text: str, max_tokens: int, stop: tuple[str, ...], tool: Tool | None) -> Answer:
    room = max_tokens * TOKEN_CHARS
    # The earliest stop text that the model would have come to; of two at one place, the longer.
    found = [(at, -len(one), one) for one in stop if (at := text.find(one)) >= 0]
    within = [(at, length, one) for at, length, one in found if at - length <= room]
    if within:
        at, _, met = min(within)
        return Answer(text[:at], tool, "stop", met)
    if len(text) > room:
        return Answer(text[:room], tool, "length", None)
    return Answer(text, tool, "tool" if tool else "end", None)
