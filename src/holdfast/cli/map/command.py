"""The options of ``holdfast map``."""

import os
from typing import Any

import click

from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.rate_option import rate_option

__all__ = ("map_command",)

_POSITIVE = click.IntRange(min=1)
_HELP = """Run TARGET over every line of INPUT, write one line for each to OUTPUT.

TARGET is module:function or path/file.py:function, sync or async. It takes one decoded JSON value
(with --raw: the line) and returns something that JSON can hold.

INPUT is JSON Lines, or plain lines with --raw; "-" is standard input.

OUTPUT is JSON Lines, one line for each item: index, key, value or error (type, message), attempts,
seconds. Each line is written whole as soon as its item is done, so that a run that was killed can
go on with --resume.
"""
_EPILOG = """Exit codes: 0 all well, 1 some failed, 2 bad usage or input, 130 after Ctrl-C,
143 after SIGTERM, 141 if nobody reads the output any more."""


@click.command("map", help=_HELP, epilog=_EPILOG)
@click.argument("target")
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help='File, or "-" for stdout.')
@click.option("--raw", is_flag=True, help="Pass on each line as text; do not decode JSON.")
@click.option(
    "--key", metavar="FIELD", help="Field (dotted path) that names an item; must be unique."
)
@click.option("--skip-bad", is_flag=True, help="Record a line that can't be read as an error.")
@click.option("--resume", is_flag=True, help="Skip the items that OUTPUT holds already.")
@click.option("--retry-failed", is_flag=True, help="With --resume: run again what failed.")
@click.option(
    "--idempotent",
    metavar="FILE",
    help="Note in FILE what begins and what it returned, so that a resumed run knows.",
)
@click.option(
    "--on-unfinished",
    type=click.Choice(["fail", "repeat", "skip"]),
    default="fail",
    show_default=True,
    help="With --idempotent: items that had begun and left no outcome.",
)
@click.option("--overwrite", is_flag=True, help="Empty an OUTPUT that holds something.")
@click.option("--fsync", is_flag=True, help="Force each line to the disk.")
@click.option("--ordered", is_flag=True, help="Write in input order instead of as they complete.")
@click.option(
    "--limit", type=_POSITIVE, default=20, show_default=True, help="Most items in flight at once."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest run of one attempt.",
)
@click.option(
    "--retries", type=click.IntRange(min=0), default=0, show_default=True, help="Further attempts."
)
@click.option(
    "--rate", callback=rate_option, metavar="N/UNIT", help="Most starts, such as 5/s or 60/min."
)
@click.option("--max-failures", type=_POSITIVE, metavar="N", help="Stop after so many failures.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="What is in flight gets so long after Ctrl-C or SIGTERM.",
)
@click.option("--json", is_flag=True, help="Print a summary as JSON to stdout at the end.")
def map_command(**given: Any) -> int:
    """Check what only makes sense together, and run."""
    options = MapOptions(**given)
    _check(options)
    from holdfast.cli.map.run import run_map  # noqa: PLC0415 - `--help` needs no event loop

    return run_map(options)


def _check(options: MapOptions) -> None:
    wrong = {
        "--retry-failed needs --resume: it says what to do with what an earlier run has left": (
            options.retry_failed and not options.resume
        ),
        "--on-unfinished needs --idempotent: without it nobody knows what had begun": (
            options.on_unfinished != "fail" and options.idempotent is None
        ),
        "--idempotent needs a file of its own, and names INPUT or OUTPUT": (
            options.idempotent is not None
            and os.path.realpath(options.idempotent)
            in {os.path.realpath(options.source), os.path.realpath(options.output)}
        ),
        "--resume and --overwrite contradict each other": options.resume and options.overwrite,
        "--key needs items with fields, and --raw makes them plain text": (
            options.raw and options.key is not None
        ),
        "--json and -o - both want standard output; write OUTPUT to a file": (
            options.json and options.output == "-"
        ),
        "--resume needs an OUTPUT that can be read again, and standard output can't": (
            options.resume and options.output == "-"
        ),
        "--key needs the name of a field": options.key == "",
    }
    for sentence, is_so in wrong.items():
        if is_so:
            raise click.UsageError(sentence)
