"""The fresh process in which one variant runs: ``python -m benchmarks.child REQUEST``.

The request is JSON: ``module``, ``case``, ``variant``, ``n``, ``repeats``, ``warm_n``,
``watch_loop`` and ``one_core``. The answer is one line of JSON on standard output, either
``{"repeats": [...]}`` or ``{"missing": why}``. On SIGABRT it ends with the stacks of all threads on
standard error; a watchdog of its own would be a thread more than what is measured.
"""

import asyncio
import contextlib
import faulthandler
import importlib
import inspect
import json
import os
import sys
from typing import Any

from benchmarks.claim import Case, Claim, Variant
from benchmarks.meter import Meter
from benchmarks.peers import PeerMissingError

__all__ = ("answer",)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run what is asked for, warm first, and return the totals of each repeat."""
    claim: Claim = importlib.import_module(request["module"]).CLAIM
    case: Case = claim.cases[request["case"]]
    variant = case.variants[request["variant"]]
    if request["one_core"]:
        _stay_on_one_core()
    try:
        if request["warm_n"]:
            _run(variant, Meter(), request["warm_n"])
        repeats = [_measured(variant, request) for _ in range(request["repeats"])]
    except PeerMissingError as error:
        return {"missing": str(error)}
    return {"repeats": repeats}


def _stay_on_one_core() -> None:
    """Where the system lets us choose; elsewhere the kernel does, as ever."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _measured(variant: Variant, request: dict[str, Any]) -> dict[str, float]:
    meter = Meter(watch_loop=request["watch_loop"])
    _run(variant, meter, request["n"])
    return meter.figures


def _run(variant: Variant, meter: Meter, n: int) -> None:
    started = variant(meter, n)
    if inspect.iscoroutine(started):
        asyncio.run(started)


if __name__ == "__main__":
    faulthandler.enable()
    with contextlib.redirect_stdout(sys.stderr):  # what a peer prints is not the answer
        reply = answer(json.loads(sys.argv[1]))
    print(json.dumps(reply))
