"""Says what a run took and what came of it, for somebody who has not read the code."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLES = 3
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Results:
    """What stands in the file of answers."""

    answered: int = 0
    hits: int = 0  # answers that were written with the expected entry in sight
    samples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    errors: Counter[str] = field(default_factory=Counter[str])

    @property
    def hit_rate(self) -> float:
        """Share of the answers that were written with the expected entry in sight, 0 to 1."""
        return self.hits / self.answered if self.answered else 0.0


def read_results(answers: Path, expected: Mapping[str, str]) -> Results:
    """Read the answers, one line at a time.

    Args:
        answers: The file that ``holdfast map`` wrote; there may be none.
        expected: The name of the entry that answers each ticket, by the ticket's id.
    """
    answered = hits = 0
    samples: dict[str, dict[str, Any]] = {}
    errors: Counter[str] = Counter()
    wanted = sample_ids(list(expected))
    for line in read_lines(answers):
        if "error" in line:
            errors[f"{line['error']['type']}: {line['error']['message']}"] += 1
            continue
        answered += 1
        hits += expected[line["key"]] in line["value"]["sources"]
        if line["key"] in wanted:
            samples[line["key"]] = line["value"]
    chosen = [samples[name] for name in wanted if name in samples]
    return Results(answered, hits, chosen, errors)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file, but not of a last line that was cut off."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.endswith("\n"))


def sample_ids(ids: Sequence[str]) -> list[str]:
    """Choose the tickets to show: the first, and others at equal distances after it."""
    return list(ids[:: max(1, -(-len(ids) // SAMPLES))])[:SAMPLES]


def describe(summary: Mapping[str, Any], results: Results, model: str) -> str:
    """Return the report: what was done, what it took, and some of what came out."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    sessions, seconds = summary["done"] + summary["failed"], summary["seconds"]
    rows = [
        ("sessions", f"{sessions:,}, at most {summary['peak_in_flight']} at once"),
        ("failed", f"{summary['failed']:,}"),
        ("time", f"{seconds:.1f} s, {summary['rate_per_s']:,.0f} answers per second"),
        ("threads", peak(summary["peak_threads"], "for all sessions together")),
        ("descriptors", peak(summary["peak_fds"], "files and connections open at once")),
        ("memory", peak(megabytes(summary["peak_rss_bytes"]), "MB, Python and all")),
        ("retrieval", f"{results.hit_rate:.0%} of the answers had the right entry before them"),
    ]
    head = f"An agent answered questions about Python {version}'s standard library with {model}."
    table = "\n".join(f"  {name:<12} {value}" for name, value in rows)
    samples = "\n\n".join(describe_sample(sample) for sample in results.samples)
    return f"{head}\n\n{table}\n\n{samples}" if samples else f"{head}\n\n{table}"


def peak(figure: int | None, words: str) -> str:
    """Return one peak; some systems do not tell."""
    return "not measured on this system" if figure is None else f"{figure:,} {words}"


def megabytes(size_bytes: int | None) -> int | None:
    """Return a size in megabytes."""
    return None if size_bytes is None else round(size_bytes / MEGABYTE)


def describe_sample(sample: Mapping[str, Any]) -> str:
    """Return a question, what was looked up for it, and the answer."""
    sources = ", ".join(sample["sources"])
    text = " ".join(sample["answer"].split())
    text = text if len(text) <= 240 else f"{text[:236].rpartition(' ')[0]} ..."  # noqa: PLR2004
    return f"  Q: {sample['question']}\n  looked up: {sources}\n  A: {text}"
