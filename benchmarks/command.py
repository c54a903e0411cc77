"""The command line: ``python -m benchmarks [NAME[/CASE] ...] [--rounds N] [--quick] [--json FILE]``."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks import machine, record
from benchmarks.claim import Case, Claim
from benchmarks.interleave import CaseResult, run_case
from benchmarks.report import case_lines, target_lines
from benchmarks.targets import TARGETS
from benchmarks.verdict import Verdict, judge

__all__ = ("claims", "main")

ROUNDS = 7
QUICK_ROUNDS = 3


def claims() -> dict[str, Claim]:
    """Every claim that has a file here, by name."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    files = [name for name in sorted(names) if name.startswith("bench_")]
    found = [importlib.import_module(f"benchmarks.{name}").CLAIM for name in files]
    return {claim.name: claim for claim in found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 if all of it could be run, 1 if not, 2 for bad usage."""
    known = claims()
    options = _parse(arguments, known)
    if options.list:
        _print_list(known)
        return 0
    chosen = _chosen(options.names or list(known), known)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    try:
        return _run(chosen, rounds, options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _chosen(names: Sequence[str], known: dict[str, Claim]) -> list[tuple[Claim, list[Case]]]:
    """What is asked for: claims, or single cases of them."""
    chosen: list[tuple[Claim, list[Case]]] = []
    for name in names:
        claim_name, _, case = name.partition("/")
        claim = known[claim_name]
        chosen.append((claim, [claim.cases[case]] if case else list(claim.cases.values())))
    return chosen


def _run(
    chosen: Sequence[tuple[Claim, list[Case]]], rounds: int, options: argparse.Namespace
) -> int:
    output = _Output()
    where = machine.describe()
    head = output.lines(_head(where, quick=options.quick))
    results: list[tuple[Claim, list[CaseResult]]] = []
    body: list[str] = []
    for claim, wanted in chosen:
        body += output.lines([f"### {claim.name}", "", claim.says, ""])
        cases: list[CaseResult] = []
        results.append((claim, cases))
        for case in wanted:
            result = run_case(
                claim, case, rounds=rounds, quick=options.quick, progress=output.progress
            )
            cases.append(result)
            body += output.lines(case_lines(result))
        if claim.appendix is not None:
            body += output.lines([*claim.appendix(), ""])
    verdicts = _verdicts(results)
    where["load_average_at_end"] = machine.load_average()
    end = output.lines(_end(where, verdicts))
    if options.json is not None:
        data = record.record(where, results, verdicts, quick=options.quick, rounds=rounds)
        record.write(options.json, data)
    if options.markdown is not None:
        options.markdown.write_text("\n".join([*head, *end, *body]).rstrip("\n") + "\n")
    return 1 if any(case.failures for _, cases in results for case in cases) else 0


def _head(where: dict[str, Any], *, quick: bool) -> list[str]:
    lines = [machine.sentence(where), ""]
    if where["load_average"] > where["cores"] / 2:
        lines += ["The machine is busy: trust ratios and CPU time, not wall time.", ""]
    if quick:
        lines += ["A quick run: smaller sizes, few rounds; good for a look, no verdict.", ""]
    return lines


def _end(where: dict[str, Any], verdicts: Sequence[Verdict]) -> list[str]:
    lines = ["### Targets", "", *target_lines(verdicts)] if verdicts else []
    return [*lines, f"Load at the end: {where['load_average_at_end']:.2f}.", ""]


def _verdicts(results: Sequence[tuple[Claim, Sequence[CaseResult]]]) -> list[Verdict]:
    samples = {(claim.name, r.case.name): r.samples for claim, rs in results for r in rs}
    return [
        judge(target, samples[target.claim, target.case])
        for target in TARGETS
        if (target.claim, target.case) in samples
    ]


class _Output:
    """Lines on standard output; on standard error what runs now, if somebody watches."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()

    def lines(self, lines: list[str]) -> list[str]:
        """Print ``lines`` at once, and return them."""
        if self._watched:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print("\n".join(lines), flush=True)
        return lines

    def progress(self, text: str) -> None:
        if self._watched:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _print_list(known: dict[str, Claim]) -> None:
    for claim in known.values():
        print(f"{claim.name}: {claim.says}")
        for case in claim.cases.values():
            print(f"    {case.name}: {case.title}")
            print(f"        {', '.join(case.variants)}")


def _parse(arguments: Sequence[str] | None, known: dict[str, Claim]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure holdfast beside what else one could use. See docs/benchmarks.md.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME[/CASE]",
        help=f"claims to run, or single cases of them; all if none is named: {', '.join(known)}",
    )
    parser.add_argument("--list", action="store_true", help="list claims, cases and variants")
    parser.add_argument(
        "--rounds", type=_count, metavar="N", help=f"default {ROUNDS}, with --quick {QUICK_ROUNDS}"
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw samples there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    options = parser.parse_args(arguments)
    for name in options.names:
        claim, _, case = name.partition("/")
        if claim not in known:
            parser.error(f"no such claim: {claim}; there are {', '.join(known)}")
        if case and case not in known[claim].cases:
            parser.error(f"{claim} has no case {case}; it has {', '.join(known[claim].cases)}")
    for path in (options.json, options.markdown):
        if path is not None and not path.parent.is_dir():  # before ten minutes of work, not after
            parser.error(f"there is no folder {path.parent}")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"must be a whole number of at least 1, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
