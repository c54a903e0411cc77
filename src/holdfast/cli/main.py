"""The ``holdfast`` command: finds the verb, and imports nothing of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

import click

from holdfast.cli.leave import leave

__all__ = ("Verb", "cli", "run")

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives, and what ``holdfast --help`` says about it.

    Attributes:
        module: The module that holds the click command.
        command: Its name in there.
        about: One line for the list of verbs.
    """

    module: str
    command: str
    about: str


VERBS = {
    "audit": Verb(
        "holdfast.cli.audit.command", "audit_command", "Look at a process: what is wrong?"
    ),
    "limits": Verb("holdfast.cli.limits.command", "limits_command", "What this machine allows."),
    "map": Verb("holdfast.cli.map.command", "map_command", "Run a function over a file's lines."),
    "run": Verb("holdfast.cli.run.command", "run_command", "Run a Python program under guard."),
    "top": Verb("holdfast.cli.top.command", "top_command", "Show a process live."),
    "watch": Verb(
        "holdfast.cli.watch.command",
        "watch_command",
        "Watch a process, and say where it is heading.",
    ),
    "size": Verb("holdfast.cli.size", "size_command", "Say how large a pool should be here."),
}


class LazyGroup(click.Group):
    """A group that knows its verbs by name, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb; None if there is none of that name."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = getattr(import_module(verb.module), verb.command)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, so that ``--help`` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name].about) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="holdfast", message="holdfast %(version)s")
def cli() -> None:
    """Run an agent's work inside the threads, memory and descriptors there really are."""


def run(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process.

    Args:
        args: The arguments after the program's name; None takes those of this process.
    """
    try:
        result = cli.main(args, prog_name="holdfast", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        result = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("holdfast: interrupted.", err=True)
        result = INTERRUPTED
    leave(result if isinstance(result, int) else 0)
