"""What ``holdfast run`` costs each request of an HTTP server."""

import sys
from itertools import product

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.guard_cost import SERVERS, VARIANTS, request_cpu_s, request_instructions
from benchmarks.meter import Meter

CLAIM = Claim("guard", "A program under guard costs a few per cent more for each request.")
_TITLES = {"keep": "one connection", "close": "a connection for each request"}


def counted(meter: Meter, _: int, *, server: str, mode: str, variant: str) -> None:
    """Count the instructions of a request."""
    with meter.measure():
        each = request_instructions(server, mode, VARIANTS[variant])
    meter.note(request_instructions=each)


def timed(meter: Meter, n: int, *, server: str, mode: str, variant: str) -> None:
    """Measure the server's CPU time for each of ``n`` requests."""
    with meter.measure():
        each = request_cpu_s(n, server, mode, VARIANTS[variant])
    meter.note(request_cpu_s=each)


for _server, _mode in product(SERVERS, _TITLES):
    _name = _mode if _server == "aiohttp" else f"{_server}-{_mode}"
    _title = f"requests of {SERVERS[_server]}, {_TITLES[_mode]}"
    _counts = CLAIM.case(
        f"{_name}-instructions",
        f"{_title}, under valgrind",
        n=1,
        quick_n=0,
        unit="run",
        most_rounds=3,
        warm_n=0,
        compared="request_instructions",
    )
    _times = CLAIM.case(
        f"{_name}-time",
        _title,
        n=6_000,
        quick_n=2_000,
        unit="request",
        warm_n=0,
        one_core=True,
        compared="request_cpu_s",
    )
    for _case, _run in ((_counts, counted), (_times, timed)):
        for _variant in VARIANTS:
            _ours = _variant == "guarded"
            _case.add(_variant, _run, ours=_ours, server=_server, mode=_mode, variant=_variant)

if __name__ == "__main__":
    raise SystemExit(main(["guard", *sys.argv[1:]]))
