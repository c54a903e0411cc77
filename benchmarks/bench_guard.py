"""What ``holdfast run`` costs each request of an HTTP server."""

import sys

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.guard_cost import VARIANTS, request_cpu_s, request_instructions
from benchmarks.meter import Meter

CLAIM = Claim("guard", "A program under guard costs a few per cent more for each request.")
_TITLES = {"keep": "one connection", "close": "a connection for each request"}


def counted(meter: Meter, _: int, *, mode: str, variant: str) -> None:
    """Count the instructions of a request."""
    with meter.measure():
        each = request_instructions(mode, VARIANTS[variant])
    meter.note(request_instructions=each)


def timed(meter: Meter, n: int, *, mode: str, variant: str) -> None:
    """Measure the server's CPU time for each of ``n`` requests."""
    with meter.measure():
        each = request_cpu_s(n, mode, VARIANTS[variant])
    meter.note(request_cpu_s=each)


for _mode, _title in _TITLES.items():
    _counts = CLAIM.case(
        f"{_mode}-instructions",
        f"requests of an aiohttp server, {_title}, under valgrind",
        n=1,
        quick_n=0,
        unit="run",
        most_rounds=3,
        warm_n=0,
        compared="request_instructions",
    )
    _times = CLAIM.case(
        f"{_mode}-time",
        f"requests of an aiohttp server, {_title}",
        n=6_000,
        quick_n=2_000,
        unit="request",
        warm_n=0,
        one_core=True,
        compared="request_cpu_s",
    )
    for _name in VARIANTS:
        _ours = _name == "guarded"
        _counts.add(_name, counted, ours=_ours, mode=_mode, variant=_name)
        _times.add(_name, timed, ours=_ours, mode=_mode, variant=_name)

if __name__ == "__main__":
    raise SystemExit(main(["guard", *sys.argv[1:]]))
