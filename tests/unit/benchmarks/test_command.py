"""The command line, as far as it goes without running anything."""

from pathlib import Path

import pytest
from benchmarks.command import claims, main


def test_every_benchmark_file_is_a_claim_of_its_name():
    """``python -m benchmarks streams`` runs ``bench_streams.py``."""
    files = Path("benchmarks").glob("bench_*.py")

    assert sorted(claims()) == sorted(path.stem.removeprefix("bench_") for path in files)


def test_the_list_names_each_claim_and_case(capsys: pytest.CaptureFixture[str]):
    """What can be asked for, without running it."""
    status = main(["--list"])

    shown = capsys.readouterr().out
    assert status == 0
    assert all(name in shown for claim in claims().values() for name in (claim.name, *claim.cases))


def test_a_single_case_can_be_asked_for(capsys: pytest.CaptureFixture[str]):
    """And nothing else of its claim runs."""
    status = main(["calls/alone", "--quick", "--rounds", "1"])

    shown = capsys.readouterr().out
    assert status == 0
    assert "**alone**" in shown
    assert "**crowd**" not in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["stream"], "no such claim: stream; there are blocking"),
        (["threads/nope"], "threads has no case nope; it has one, "),
        (["--rounds", "0"], "must be a whole number of at least 1, not '0'"),
        (["--json", "no/such/folder/file.json"], "there is no folder no/such/folder"),
    ],
)
def test_bad_usage_is_told_before_anything_runs(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
):
    """With the status of bad usage, 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
