"""Text cut into words to compare, and into sentences to quote."""

import re

__all__ = ("paragraphs", "sentences", "words")

_WORD = re.compile(r"\w+")
_SHORTEST_PLURAL = 4
_FEWEST_WORDS = 4

_PARAGRAPH_END = re.compile(r"\n[ \t\r\f\v]*\n")
_LIST_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+#]+|[0-9]{1,3}[.)])[ \t])")
# A space after a full stop, and before anything but a small letter; "e.g. Linux" goes on. The space
# comes first in the pattern, as the search for a plain character is fast.
_SENTENCE_END = re.compile(
    r" (?:(?<=[.!?] )|(?<=[.!?][\"')\]] ))(?<!\be\.g\. )(?<!\bi\.e\. )(?<!\bvs\. )(?=[^a-z])"
)


def words(text: str) -> list[str]:
    """Return the words of ``text`` in a form that can be compared.

    Small letters, and without a plural's ``s``: ``"Threads"`` and ``"thread"`` are the same word.
    """
    return [
        word[:-1]
        if word.endswith("s") and len(word) >= _SHORTEST_PLURAL and not word.endswith("ss")
        else word
        for word in _WORD.findall(text.lower())
    ]


def paragraphs(text: str) -> list[str]:
    """Cut ``text`` at empty lines."""
    return _PARAGRAPH_END.split(text)


def sentences(text: str) -> list[str]:
    """Cut ``text`` into sentences, each on one line and otherwise word for word.

    A fragment of fewer than four words (a heading, a name, ``[1]``) belongs to the sentence after
    it, so that a quote says what it is about.
    """
    found: list[str] = []
    fragment = ""
    for paragraph in paragraphs(text):
        for item in _LIST_ITEM.split(paragraph):
            for sentence in _SENTENCE_END.split(" ".join(item.split())):
                whole = f"{fragment} {sentence}".strip()
                if len(whole.split(maxsplit=_FEWEST_WORDS)) < _FEWEST_WORDS:
                    fragment = whole
                    continue
                found.append(whole)
                fragment = ""
    if fragment:
        found.append(fragment)
    return found
