"""What the pytest plugin costs each test, in test runs of their own."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter

TESTS = """
import pytest

@pytest.mark.parametrize("n", range({n}))
def test_nothing(n):
    pass
"""


def suite(meter: Meter, n: int, *, options: tuple[str, ...] = ()) -> None:
    """Run ``n`` tests that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_nothing.py").write_text(TESTS.format(n=n))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        with meter.measure():
            subprocess.run(  # noqa: S603 - our own interpreter
                [*command, "test_nothing.py"], cwd=folder, stdout=subprocess.DEVNULL, check=True
            )


CLAIM = Claim("plugin", "The check for leaks costs a test far less than a millisecond.")

SUITE = CLAIM.case(
    "tests",
    "a run of tests that do nothing (the start of pytest is in it)",
    n=2_000,
    quick_n=1_000,
    unit="test",
    most_rounds=5,
    warm_n=5,
)
SUITE.add("pytest --holdfast", suite, ours=True, options=("--holdfast",))
SUITE.add("pytest", suite)

if __name__ == "__main__":
    raise SystemExit(main(["plugin", *sys.argv[1:]]))
