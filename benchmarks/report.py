"""The tables, for people: Markdown, aligned so that it reads well in a terminal too."""

from collections.abc import Iterable, Sequence

from benchmarks.interleave import CaseResult
from benchmarks.quantity import duration, quantity, ratio
from benchmarks.sample import medians
from benchmarks.targets import Target
from benchmarks.verdict import Verdict

__all__ = ("case_lines", "table", "target_lines")

TITLES = {
    "peak_rss_bytes": "peak memory",
    "stall_s": "stall",
    "stall_cpu_s": "stall, CPU",
    "session_bytes": "each session",
    "threads": "threads",
    "request_instructions": "instructions",
    "request_cpu_s": "CPU of a request",
}
"""Figures with a column of their own, where a variant has them."""


def case_lines(result: CaseResult) -> list[str]:
    """The table of one case."""
    case = result.case
    if result.left_out is not None:
        return [f"**{case.name}**: {case.title}. Left out: {result.left_out}.", ""]
    compared = {"each_wall_s": "wall time", "request_instructions": "instructions"}
    lines = [
        f"**{case.name}**: {case.title}.",
        f"{_size(result)}; ratios of {compared.get(case.compared, 'CPU time')}.",
        "",
    ]
    found = {name: medians(samples) for name, samples in result.samples.items()}
    extra = [name for name in TITLES if any(name in figures for figures in found.values())]
    head = ["variant", f"wall/{case.unit}", f"CPU/{case.unit}", "x ours"]
    rows = [[*head, *(TITLES[name] for name in extra)]]
    for name, variant in case.variants.items():
        label = f"**{name}**" if variant.ours else name
        figures = found.get(name)
        if figures is None:
            rows.append([label, *["-"] * (len(rows[0]) - 1)])
            continue
        rows.append(
            [
                label,
                duration(figures["each_wall_s"]),
                duration(figures["each_cpu_s"]),
                _relative(result, found, name),
                *(quantity(key, figures[key]) if key in figures else "-" for key in extra),
            ]
        )
    lines += table(rows)
    lines.append("")
    lines += [f"- {name}: {why}" for name, why in result.missing.items()]
    for name, why in result.failures.items():
        lines += [f"{name} failed:", "", *(f"    {line}" for line in why.splitlines()), ""]
    return lines if not lines[-1] else [*lines, ""]


def _size(result: CaseResult) -> str:
    rounds = max((len(samples) for samples in result.samples.values()), default=0)
    repeats = _times(result.repeats, "run")
    return f"{_times(rounds, 'round')} of {repeats} of {result.n:,}"


def _times(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _relative(result: CaseResult, found: dict[str, dict[str, float]], name: str) -> str:
    case = result.case
    ours = found.get(case.reference)
    if ours is None or not ours[case.compared]:
        return "-"
    return ratio(found[name][case.compared] / ours[case.compared])


def target_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """The table of targets."""
    rows = [["work", "against", "measured", "rounds", "must", "aim", "verdict"]]
    rows += [_target_row(verdict) for verdict in verdicts]
    return [*table(rows), ""]


def _target_row(verdict: Verdict) -> list[str]:
    target = verdict.target
    sign = "≥" if target.at_least else "≤"
    word = f"**{verdict.word}**" if verdict.word == "missed" else verdict.word
    return [
        target.work,
        target.peer or "",
        "-" if verdict.measured is None else _shown(target, verdict.measured),
        "-"
        if verdict.low is None or verdict.high is None
        else f"{_shown(target, verdict.low)} to {_shown(target, verdict.high)}",
        f"{sign} {_shown(target, target.must)}",
        f"{sign} {_shown(target, target.aim)}",
        word,
    ]


def _shown(target: Target, value: float) -> str:
    if target.comparison in {"more", "value"}:
        return quantity(target.figure, value)
    return f"{ratio(value)}x"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first row is its head; words stand left, figures right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lefts = [i == 0 or not all(_is_figure(row[i]) for row in cells[1:]) for i in range(len(widths))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, lefts, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = (
        "-" * width if left else "-" * (width - 1) + ":"
        for width, left in zip(widths, lefts, strict=True)
    )
    return [line(cells[0]), f"| {' | '.join(rule)} |", *(line(row) for row in cells[1:])]


def _is_figure(cell: str) -> bool:
    return cell.startswith("over ") or cell[:1] in set("0123456789-≤≥")
