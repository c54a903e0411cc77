"""What ``import holdfast`` costs a program, beside ``import asyncio``, in fresh interpreters."""

import subprocess
import sys

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.import_profile import newly_loaded
from benchmarks.meter import Meter
from benchmarks.quantity import duration
from benchmarks.report import table

SHOWN = 10


def fresh(meter: Meter, n: int, *, code: str) -> None:
    """Start ``n`` interpreters, one after the other."""
    with meter.measure():
        for _ in range(n):
            subprocess.run([sys.executable, "-I", "-c", code], check=True)  # noqa: S603 - our own interpreter


def slowest() -> list[str]:
    """The modules that take longest, and what all of them take."""
    found = newly_loaded("holdfast", after="asyncio")
    total = sum(loaded.self_s for loaded in found)
    rows = [["module", "its own time"]]
    rows += [[loaded.name, duration(loaded.self_s)] for loaded in found[:SHOWN]]
    head = (
        f"Of the {len(found)} modules that `import holdfast` loads beyond `import asyncio` "
        f"({duration(total)} under `-X importtime`), the slowest:"
    )
    return [head, "", *table(rows)]


CLAIM = Claim("import", "Importing holdfast adds little to importing asyncio.", appendix=slowest)

FRESH = CLAIM.case(
    "fresh",
    "start an interpreter, import, end",
    n=10,
    quick_n=5,
    unit="start",
    warm_n=1,
    compared="each_wall_s",
)
FRESH.add("import holdfast", fresh, ours=True, code="import holdfast")
FRESH.add("import asyncio", fresh, code="import asyncio")
FRESH.add("nothing imported", fresh, code="pass")

if __name__ == "__main__":
    raise SystemExit(main(["import", *sys.argv[1:]]))
