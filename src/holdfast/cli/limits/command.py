"""The options of ``holdfast limits``."""

import json as json_

import click

from holdfast.cli.trouble import UNSEEN, Trouble, said
from holdfast.watch.capacity import AGENT, Need, capacity

__all__ = ("limits_command",)

_MB = 1 << 20
_COUNT = click.IntRange(min=0)
_HELP = """Show every limit of this machine or container that matters for agents: its value, what is
held of it, where it comes from, and for how many more agents at work it has room.

What one agent holds at most is an assumption; say yours with the options --threads to --memory.

With --emit, print settings that raise the limits, for --agents at once.
"""


@click.command("limits", help=_HELP, epilog="Exit codes: 0 shown, 2 can't look.")
@click.option("--json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--emit",
    type=click.Choice(["compose", "kubernetes", "systemd", "dockerfile"]),
    help="Print settings that raise the limits.",
)
@click.option(
    "--agents",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="With --emit: how many agents at once.",
)
@click.option(
    "--threads", type=_COUNT, default=AGENT.threads, show_default=True, help="Threads of one agent."
)
@click.option(
    "--processes",
    type=_COUNT,
    default=AGENT.processes,
    show_default=True,
    help="Subprocesses of one.",
)
@click.option(
    "--descriptors",
    type=_COUNT,
    default=AGENT.descriptors,
    show_default=True,
    help="Descriptors of one.",
)
@click.option(
    "--memory",
    type=_COUNT,
    default=AGENT.memory_bytes // _MB,
    show_default=True,
    metavar="MB",
    help="Memory of one, in MB.",
)
def limits_command(
    json: bool,
    emit: str | None,
    agents: int,
    threads: int,
    processes: int,
    descriptors: int,
    memory: int,
) -> int:
    """Read, print, and return the exit code."""
    if json and emit:
        sentence = "--json and --emit both want standard output; ask for one of them"
        raise click.UsageError(sentence)
    need = Need(threads, processes, descriptors, memory * _MB)
    if emit:
        from holdfast.cli.limits.settings import EMITTERS, settings  # noqa: PLC0415 - only for this

        click.echo(EMITTERS[emit](settings(agents, need)), nl=False)
        return 0
    try:
        found = capacity(need)
    except UNSEEN as error:
        raise Trouble(said(error)) from None
    if json:
        click.echo(json_.dumps(found.to_dict(), indent=2))
    else:
        from holdfast.cli.limits.show import show  # noqa: PLC0415 - `--help` draws nothing

        show(found)
    return 0
