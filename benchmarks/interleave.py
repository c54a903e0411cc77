"""Rounds: each variant of a case once in each, in a fresh process, in alternating order.

A machine is never quite quiet. Whatever disturbs it for a while meets all variants alike when they
take turns, and the alternation keeps one from always running first.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.claim import Case, Claim
from benchmarks.memory import available_bytes
from benchmarks.sample import Sample, digest

__all__ = ("CaseResult", "in_turn", "run_case")

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 150.0
"""After which a process is ended, and shows where it was."""


@dataclass(slots=True)
class CaseResult:
    """What came of a case.

    Attributes:
        n: Items in each run.
        repeats: Measured runs in each process.
        samples: By variant, in order of the rounds.
        missing: By variant, the library that is not installed.
        failures: By variant, why it has no figures (or fewer).
        left_out: Why the case was not run at all, or None.
    """

    case: Case
    n: int
    repeats: int
    samples: dict[str, list[Sample]] = field(default_factory=dict[str, list[Sample]])
    failures: dict[str, str] = field(default_factory=dict[str, str])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    left_out: str | None = None


def in_turn(variants: Sequence[T], round_: int) -> list[T]:
    """The order of one round: as declared, then the other way round, and so on."""
    return list(variants) if round_ % 2 == 0 else list(reversed(variants))


def run_case(
    claim: Claim,
    case: Case,
    *,
    rounds: int,
    quick: bool,
    progress: Callable[[str], None],
) -> CaseResult:
    """Run ``rounds`` rounds of a case, or as many as it takes at most."""
    n = case.quick_n if quick else case.n
    repeats = (case.repeats + 1) // 2 if quick else case.repeats
    result = CaseResult(case, n, repeats)
    result.left_out = _reason_to_leave_out(case, n)
    if result.left_out is not None:
        return result
    if case.most_rounds is not None:
        rounds = min(rounds, case.most_rounds)
    for round_ in range(rounds):
        for place, name in enumerate(in_turn(list(case.variants), round_)):
            if name in result.failures or name in result.missing:
                continue
            progress(f"{claim.name}/{case.name}, round {round_ + 1} of {rounds}: {name}")
            _add_sample(result, claim, name, round_, place)
    return result


def _reason_to_leave_out(case: Case, n: int) -> str | None:
    if n == 0:
        return "only in a full run"
    available = available_bytes()
    if case.needs_bytes and available is not None and available < case.needs_bytes:
        return f"needs {case.needs_bytes >> 20} MB of free memory; there are {available >> 20}"
    return None


def _add_sample(result: CaseResult, claim: Claim, name: str, round_: int, place: int) -> None:
    case = result.case
    request = {
        "module": f"benchmarks.bench_{claim.name}",
        "case": case.name,
        "variant": name,
        "n": result.n,
        "repeats": result.repeats,
        "warm_n": min(case.warm_n, result.n),
        "watch_loop": case.watch_loop,
        "one_core": case.one_core,
    }
    status, answer, complaint = _run_child(request)
    if status != 0:
        result.failures[name] = f"exit {status}: {complaint.strip() or 'no message'}"
        return
    reply = json.loads(answer)
    if "missing" in reply:
        result.missing[name] = reply["missing"]
        return
    repeats = reply["repeats"]
    sample = Sample(round_, place, result.n, repeats, digest(repeats, result.n))
    result.samples.setdefault(name, []).append(sample)


def _run_child(request: dict[str, Any]) -> tuple[int, str, str]:
    """Run one process to its end: its status, its answer, its complaints."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
        [sys.executable, "-m", "benchmarks.child", json.dumps(request)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            answer, complaint = child.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGABRT)
            answer, complaint = child.communicate()
            complaint = f"still ran after {LONGEST_S:g} s\n{complaint}"
        except BaseException:
            child.kill()
            raise
    return child.returncode, answer, complaint
