"""The soak in its short form; the long one is ``python -m tests.soak``."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]


def _soak(*options):
    return subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, "-m", "tests.soak", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(130)
def test_thousands_of_short_sessions_leave_nothing_and_nothing_grows_with_them():
    """Files, pools of both kinds, tracked sockets; a tenth of the sessions fails, some are cancelled."""
    ended = _soak("--sessions", "6000")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 left at the end, 0 faults" in ended.stdout


@pytest.mark.timeout(130)
@pytest.mark.parametrize(
    ("leak", "said"),
    [("descriptors", "FAULT: fds grow by"), ("bytes", "FAULT: blocks grow by")],
)
def test_a_leak_that_was_planted_is_found(leak, said):
    """Else the soak would tell nothing: a descriptor in 100 sessions, 64 bytes in each."""
    ended = _soak("--sessions", "8000", "--kinds", "tracked", "--plant", leak)

    assert ended.returncode == 1, ended.stdout
    assert said in ended.stdout
