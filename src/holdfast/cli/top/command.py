"""The options of ``holdfast top``."""

import json as json_
import sys
from typing import TYPE_CHECKING

import click

from holdfast._core import clock
from holdfast.cli.trouble import HEALTHY, UNSEEN, Trouble, said

if TYPE_CHECKING:
    from holdfast.cli.top.source import Source

__all__ = ("top_command",)

_HELP = """Show process PID live: its limits, its pools, and who holds what.

A program that runs Monitor(serve=True), or holdfast.watch.serve(), shows its pools, its forecasts and
its stacks itself. Any other is looked at from outside. Without a PID it is the one program of yours that
shows itself.

\b
  s  sort pools by another column      d  stacks of threads and tasks, and back
  r  reverse                           up, down, page up, page down  scroll
  f  freeze, and go on                 q  quit
"""
_EPILOG = "Exit codes: 0, 2 can't look, or the process has ended."
_WIDTH = 100
_BETWEEN = 0.5


@click.command("top", help=_HELP, epilog=_EPILOG)
@click.argument("pid", type=click.IntRange(min=1), required=False)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="From one look to the next.",
)
@click.option("--once", is_flag=True, help="Print one screen, and end.")
@click.option("--json", is_flag=True, help="Print one snapshot as JSON, and end.")
def top_command(pid: int | None, interval: float, once: bool, json: bool) -> int:
    """Show, and return the exit code."""
    from holdfast.cli.top.source import Source  # noqa: PLC0415 - `--help` needs none of it

    source = Source(_only() if pid is None else pid)
    try:
        if json:
            found = source.take()
            whence = "inside" if found.served else "outside"
            holders = [{"place": name, "held": count} for name, count in found.holders]
            extra = {"whence": whence, "command": source.command, "holders": holders}
            click.echo(json_.dumps(found.figures | extra, allow_nan=False))
        elif once or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _print(source, interval)
        else:
            _live(source, interval)
    except KeyboardInterrupt:
        pass  # one of the ways to end it
    except UNSEEN as error:
        raise Trouble(said(error)) from None
    return HEALTHY


def _only() -> int:
    from holdfast.cli.top.source import command_of, served_pids  # noqa: PLC0415 - as above

    pids = served_pids()
    if len(pids) == 1:
        return pids[0]
    if not pids:
        sentence = (
            "no program of yours shows itself (Monitor(serve=True) or holdfast.watch.serve()); "
            "name a process: holdfast top PID"
        )
        raise Trouble(sentence)
    told = "\n".join(f"  {pid}  {command_of(pid)}" for pid in pids)
    sentence = f"several programs of yours show themselves, name one of them:\n{told}"
    raise Trouble(sentence)


def _print(source: "Source", interval: float) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above

    from holdfast.cli.top.page import Page, page  # noqa: PLC0415 - as above
    from holdfast.cli.top.tracks import Tracks  # noqa: PLC0415 - as above

    tracks, console = Tracks(), Console(highlight=False)
    tracks.add(source.take())
    clock.sleep(min(interval, _BETWEEN))  # rates take two looks
    found = source.take()
    tracks.add(found)
    width = console.width if console.is_terminal else _WIDTH
    ascii_only = not console.encoding.lower().startswith("utf")
    how = Page(source.command, width, 1000, keys=False, ascii_only=ascii_only)
    for line in page(found, tracks, how):
        console.print(line, soft_wrap=True)


def _live(source: "Source", interval: float) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above

    from holdfast.cli.top.live import show  # noqa: PLC0415 - as above

    show(source, interval, Console(highlight=False), sys.stdin.fileno())
