"""The figures of a variant: raw from one process, and medians over the rounds."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ("Sample", "digest", "medians")

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant in one round: one fresh process.

    Attributes:
        round: From 0.
        place: Its place in the order of that round, from 0.
        n: Items in each repeat.
        repeats: The totals of each repeat, as the meter took them.
        figures: What the process counts as; see :func:`digest`.
    """

    round: int
    place: int
    n: int
    repeats: Sequence[Figures]
    figures: Figures


def digest(repeats: Sequence[Figures], n: int) -> dict[str, float]:
    """One process's figures.

    Times become those of one item (``each_wall_s``, ``each_cpu_s``) and are the median of the
    repeats. Memory is the first repeat's, because later ones reuse what the first took from the
    system. A stall is the longest.
    """
    found: dict[str, float] = {}
    for name in repeats[0]:
        values = [repeat[name] for repeat in repeats]
        if name in {"wall_s", "cpu_s"}:
            found[f"each_{name}"] = statistics.median(values) / n
        elif name.endswith("_bytes"):
            found[name] = values[0]
        elif name.startswith("stall"):
            found[name] = max(values)
        else:
            found[name] = statistics.median(values)
    return found


def medians(samples: Iterable[Sample]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    columns: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.figures.items():
            columns.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in columns.items()}
