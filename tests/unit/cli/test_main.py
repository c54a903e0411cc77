"""The command itself: verbs, help, version, and what it says without its extra."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from holdfast import __main__
from holdfast.cli import main as cli_main


def test_help_lists_the_verbs_and_imports_none_of_them():
    """``holdfast --help`` must be quick, so it needs neither rich nor any verb."""
    code = (
        "import sys\n"
        "from holdfast.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "print(sorted(m for m in sys.modules if m == 'rich' or '.map.' in m))\n"
    )

    done = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "map" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_every_verb_of_the_table_is_a_command():
    """A name in the table that leads nowhere would show only when a user calls it."""
    for name in cli_main.VERBS:
        command = cli_main.cli.get_command(None, name)  # type: ignore[arg-type]

        assert command is not None
        assert command.name == name


def test_an_unknown_verb_is_a_usage_error():
    """A typo gets exit code 2 and the name of what was not found."""
    result = CliRunner().invoke(cli_main.cli, ["mpa"])

    assert result.exit_code == 2
    assert "mpa" in result.output


def test_the_version_is_that_of_the_package():
    """``--version`` says what is installed."""
    from importlib.metadata import version

    result = CliRunner().invoke(cli_main.cli, ["--version"])

    assert result.output == f"holdfast {version('holdfast')}\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch, capsys, missing):
    """Whoever installed the library alone learns what to install, instead of a traceback."""
    monkeypatch.setattr(__main__, "find_spec", lambda name: None if name == missing else object())

    with pytest.raises(SystemExit) as left:
        __main__.main()

    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "pip install 'holdfast[cli]'" in said
    assert said.count("\n") == 1


@pytest.mark.system
def test_python_dash_m_is_the_same_command():
    """``python -m holdfast`` does what ``holdfast`` does."""
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "--version"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert done.stdout.startswith("holdfast ")


@pytest.mark.system
def test_a_usage_error_leaves_with_exit_code_2():
    """The exit code reaches the shell."""
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "map", "x"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "Usage: holdfast map" in done.stderr
