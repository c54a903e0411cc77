"""Options that are wrong by themselves or together."""

import pytest
from click.testing import CliRunner

from holdfast.cli.map.command import map_command


def usage_error(*args):
    """What is said about ``args``."""
    result = CliRunner().invoke(map_command, list(args))
    assert result.exit_code == 2
    return result.output


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["-o", "out", "--retry-failed"], "needs --resume"),
        (["-o", "out", "--resume", "--overwrite"], "contradict"),
        (["-o", "out", "--raw", "--key", "id"], "--raw"),
        (["-o", "out", "--key", ""], "name of a field"),
        (["-o", "-", "--json"], "both want standard output"),
        (["-o", "-", "--resume"], "standard output can't"),
        (["-o", "out", "--limit", "0"], "--limit"),
        (["-o", "out", "--timeout", "0"], "--timeout"),
        (["-o", "out", "--retries", "-1"], "--retries"),
        (["-o", "out", "--rate", "fast"], "'fast' is no rate"),
        (["-o", "out", "--max-failures", "0"], "--max-failures"),
        (["-o", "out", "--grace", "-1"], "--grace"),
        ([], "--output"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_opened(options, part):
    """With the name of the option, and exit code 2."""
    assert part in usage_error("nothing:here", "no-such-file", *options)


def test_the_help_names_every_option():
    """What the documentation lists is what there is."""
    shown = CliRunner().invoke(map_command, ["--help"]).output

    for option in map_command.params:
        for name in option.opts:
            if name.startswith("--"):
                assert name in shown
