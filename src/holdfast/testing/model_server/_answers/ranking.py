"""Which sentences of a context answer a question: BM25 over sentences."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from holdfast.testing.model_server._answers.text import sentences, words

__all__ = ("best_sentences", "content_words", "scores")

_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75
_MOST_QUOTED = 3
_CLOSE_TO_BEST = 0.6

_STOP_WORDS = frozenset(
    words(
        "a about all am an and any are as at be been but by can could did do does for from get "
        "had has have how i if in into is it its me my no not of on or our shall should so than "
        "that the their them then there these they this those to use was we were what when where "
        "which who why will with would you your"
    )
)


def content_words(question: str) -> frozenset[str]:
    """Return the words of a question that carry meaning, or all of them if none does."""
    asked = frozenset(words(question))
    return asked - _STOP_WORDS or asked


def best_sentences(question: str, passages: Iterable[str]) -> list[str]:
    """Return the sentences of ``passages`` that match ``question`` best.

    The best one, and up to two more that score at least 0.6 of it, in the order of the text. Equal
    scores: the earlier one. None at all if no sentence shares a word with the question.
    """
    candidates = list(dict.fromkeys(one for passage in passages for one in sentences(passage)))
    ranked = scores(content_words(question), [words(one) for one in candidates])
    order = sorted(range(len(candidates)), key=lambda index: -ranked[index])[:_MOST_QUOTED]
    if not order or ranked[order[0]] <= 0:
        return []
    enough = ranked[order[0]] * _CLOSE_TO_BEST
    return [candidates[index] for index in sorted(order) if ranked[index] >= enough]


def scores(asked: frozenset[str], texts: Sequence[list[str]]) -> list[float]:
    """Score each text by the asked words it holds: rare words more, long texts less.

    Source:
        Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with
        k1 = 1.2, b = 0.75 and the weight of a word ln(1 + (N - n + 0.5) / (n + 0.5)).
    """
    hits = [Counter(word for word in text if word in asked) for text in texts]
    holders = Counter(word for found in hits for word in found)
    weights = {
        word: math.log(1 + (len(texts) - count + 0.5) / (count + 0.5))
        for word, count in holders.items()
    }
    usual = sum(map(len, texts)) / len(texts) if texts else 1.0
    result: list[float] = []
    for text, found in zip(texts, hits, strict=True):
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * len(text) / (usual or 1.0)
        # A fixed order of adding, so that equal texts have equal scores in every process.
        result.append(
            math.fsum(
                weights[word] * count * (_SATURATION + 1) / (count + _SATURATION * length)
                for word, count in found.items()
            )
        )
    return result
