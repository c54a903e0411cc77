"""The options of ``holdfast run``."""

import shutil
from pathlib import Path
from typing import Any

import click

from holdfast.adapters.guard.options import GuardOptions
from holdfast.cli.run.launch import launch
from holdfast.cli.run.split import split

__all__ = ("run_command",)

_HELP = """Run a Python program under guard, unmodified.

PROGRAM is script.py, -m module, or -- command (a program that runs Python: gunicorn, pytest). All that
follows is its own. Its arguments, exit code, signals and __main__ are those of a plain run.

It gets the descriptors that the system allows, waits where a thread is refused, runs every event loop's
default executor and anyio's workers on one bounded pool, and is watched: forecasts in the log, a report
on SIGUSR1, when descriptors or threads run out, and at the end if it leaves something behind.
"""
_EPILOG = """Exit codes: those of the program; 2 for bad usage, 126 or 127 where it can't be run."""
_NOT_FOUND, _NOT_RUN = 127, 126


class _Command(click.Command):
    """Takes its own options, and nothing of the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what belongs to the program out of the parser."""
        with_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        own, program = split(args, with_value)
        ctx.meta["program"] = program
        return super().parse_args(ctx, own)


@click.command(
    "run",
    cls=_Command,
    help=_HELP,
    epilog=_EPILOG,
    options_metavar="[OPTIONS] PROGRAM [ARGS]...",
)
@click.option("--observe", is_flag=True, help="Change nothing, only watch.")
@click.option("--children", is_flag=True, help="Guard the Python programs that it starts, too.")
@click.option("--no-lines", is_flag=True, help="Do not note which line opened what.")
@click.option("--keep-fd-limit", is_flag=True, help="Do not raise the limit on descriptors.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="The budget of threads; else detected.",
)
@click.option(
    "--report",
    metavar="PATH",
    help="Write PATH.txt and PATH.html at the end in any case; %p is the process.",
)
@click.option("--log", metavar="FILE", help="Where the monitor writes to; else standard error.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two samples.",
)
@click.pass_context
def run_command(ctx: click.Context, /, **given: Any) -> int:
    """Check that there is a program, and become it."""
    program: list[str] = ctx.meta["program"]
    if not program or program in (["-m"], ["--"]):
        msg = "Missing PROGRAM: script.py, -m module, or -- command"
        raise click.UsageError(msg)
    options = GuardOptions(
        observe=given["observe"],
        children=given["children"],
        lines=not given["no_lines"],
        keep_fd_limit=given["keep_fd_limit"],
        threads=given["threads"] or 0,
        report=str(Path(given["report"]).absolute()) if given["report"] else "",
        log=str(Path(given["log"]).absolute()) if given["log"] else "",
        interval=given["interval"],
    )
    if program[0] == "--" and shutil.which(program[1]) is None:
        click.echo(f"holdfast: {program[1]}: there is no such command.", err=True)
        return _NOT_FOUND
    try:
        launch(options, program)
    except OSError as error:
        click.echo(f"holdfast: {program}: {error}", err=True)
        return _NOT_RUN
