"""``holdfast size``: a recommendation for each kind of work."""

import json

from click.testing import CliRunner

from holdfast.cli.main import cli
from holdfast.limits.sizing import KINDS


def size(*args):
    """Run it."""
    return CliRunner().invoke(cli, ["size", *args])


def test_every_kind_of_work_has_a_line_with_the_pool_and_the_reason():
    """Without a kind, all of them."""
    lines = size().output.splitlines()

    assert [line.split()[0] for line in lines] == list(KINDS)
    assert all("Pool(" in line for line in lines)


def test_a_rate_is_a_number_of_starts_in_a_period():
    """500 a minute that take 2.4 seconds each are twenty at once."""
    result = size("llm", "--rate", "500", "--per", "60", "--response", "2.4")

    assert "AsyncPool(20)" in result.output
    assert result.exit_code == 0


def test_json_has_all_fields():
    """For a script."""
    (found,) = json.loads(size("db", "--connections", "7", "--json").output)

    assert found["size"] == 7
    assert found["pool"] == "ThreadPool"
    assert set(found) == {"kind", "pool", "size", "low", "high", "reason"}


def test_a_kind_that_there_is_not_is_bad_usage():
    """Exit code 2, and the kinds that there are."""
    result = size("lmm")

    assert result.exit_code == 2
    assert "llm_threads" in result.output
