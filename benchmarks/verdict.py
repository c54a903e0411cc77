"""Whether a target is reached: the arithmetic of ratios."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.sample import Sample, medians
from benchmarks.targets import Target

__all__ = ("Verdict", "judge", "number")

Word = Literal["missed", "met", "aim met", "not run"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a target.

    Attributes:
        measured: The number made of medians over all rounds; None if something was not run.
        low: The lowest of the numbers made of single rounds.
        high: The highest of them.
        word: The verdict on ``measured``.
    """

    target: Target
    measured: float | None
    low: float | None
    high: float | None
    word: Word


def judge(target: Target, samples: Mapping[str, Sequence[Sample]]) -> Verdict:
    """Judge a target by the samples of its case, given by variant."""
    if any(not samples.get(name) for name in target.variants):
        return Verdict(target, None, None, None, "not run")
    over_all = {name: medians(samples[name])[target.figure] for name in target.variants}
    measured = number(target, over_all)
    single = [number(target, figures) for figures in _rounds(target, samples)]
    return Verdict(target, measured, min(single), max(single), _word(target, measured))


def number(target: Target, figures: Mapping[str, float]) -> float:
    """The target's number, of one figure for each of its variants."""
    ours = figures[target.ours]
    peer = figures[target.peer] if target.peer is not None else math.nan
    match target.comparison:
        case "faster":
            return _over(peer, ours)
        case "cost":
            return _over(ours, peer)
        case "more":
            return ours - peer
        case "value":
            return ours
        case "added":
            assert target.ours_base is not None
            assert target.peer_base is not None
            return _over(peer - figures[target.peer_base], ours - figures[target.ours_base])


def _over(above: float, below: float) -> float:
    """A ratio; without limit where what is below has vanished in the noise."""
    return above / below if below > 0 else math.inf


def _rounds(target: Target, samples: Mapping[str, Sequence[Sample]]) -> list[dict[str, float]]:
    """For each round in which all took part: one figure for each variant."""
    by_round: dict[int, dict[str, float]] = {}
    for name in target.variants:
        for sample in samples[name]:
            by_round.setdefault(sample.round, {})[name] = sample.figures[target.figure]
    return [figures for figures in by_round.values() if len(figures) == len(set(target.variants))]


def _word(target: Target, measured: float) -> Word:
    def reaches(bar: float) -> bool:
        return measured >= bar if target.at_least else measured <= bar

    if reaches(target.aim):
        return "aim met"
    return "met" if reaches(target.must) else "missed"
