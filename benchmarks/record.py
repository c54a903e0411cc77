"""Everything that was measured, as JSON: for machines, and for those who doubt a median."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claim import Claim
from benchmarks.interleave import CaseResult
from benchmarks.sample import medians
from benchmarks.verdict import Verdict

__all__ = ("SCHEMA", "record", "write")

SCHEMA = 1


def record(
    machine: Mapping[str, Any],
    results: Iterable[tuple[Claim, Sequence[CaseResult]]],
    verdicts: Iterable[Verdict],
    **options: Any,
) -> dict[str, Any]:
    """One run as plain data. Times are seconds, sizes bytes."""
    return {
        "schema": SCHEMA,
        "machine": dict(machine),
        "options": options,
        "claims": [
            {"name": claim.name, "says": claim.says, "cases": [_case(case) for case in cases]}
            for claim, cases in results
        ],
        "targets": [_target(verdict) for verdict in verdicts],
    }


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write the record."""
    path.write_text(json.dumps(data, indent=1) + "\n")


def _case(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "name": case.name,
        "title": case.title,
        "n": result.n,
        "unit": case.unit,
        "repeats": result.repeats,
        "one_core": case.one_core,
        "left_out": result.left_out,
        "variants": [
            {
                "name": name,
                "ours": variant.ours,
                "medians": medians(result.samples.get(name, [])),
                "samples": [dataclasses.asdict(sample) for sample in result.samples.get(name, [])],
                "missing": result.missing.get(name),
                "failure": result.failures.get(name),
            }
            for name, variant in case.variants.items()
        ],
    }


def _target(verdict: Verdict) -> dict[str, Any]:
    return {
        **dataclasses.asdict(verdict.target),
        "measured": _finite(verdict.measured),
        "low": _finite(verdict.low),
        "high": _finite(verdict.high),
        "verdict": verdict.word,
    }


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity; null stands for "too large to say", and the verdict for the rest."""
    return value if value is not None and math.isfinite(value) else None
