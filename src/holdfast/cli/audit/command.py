"""The options of ``holdfast audit``."""

import json as json_

import click

from holdfast.cli.trouble import FINDINGS, HEALTHY, UNSEEN, Trouble, said

__all__ = ("audit_command",)

_HELP = """Look once at process PID, from outside, and say what is wrong with it.

Shows what it holds (descriptors by kind, connections by state and peer, files, threads, children,
memory), each against its tightest limit, and then what was found: what it is, what it means, what to
do. Nothing in the process is changed.

You may look at processes of your own; for those of others be root.
"""
_EPILOG = "Exit codes: 0 healthy (notes may be shown), 1 findings, 2 can't look."


@click.command("audit", help=_HELP, epilog=_EPILOG)
@click.argument("pid", type=click.IntRange(min=1), required=False)
@click.option("--self", "own", is_flag=True, help="Look at this command itself.")
@click.option("--tree", is_flag=True, help="Look at all its descendants, too.")
@click.option(
    "--confirm",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Look again at what may be passing, after so long, if there is any.",
)
@click.option("--json", is_flag=True, help="Print everything as JSON.")
def audit_command(pid: int | None, own: bool, tree: bool, confirm: float, json: bool) -> int:
    """Look, print, and return the exit code."""
    if (pid is None) == (not own):
        sentence = "name one process: PID, or --self for this one"
        raise click.UsageError(sentence)
    from holdfast.watch.audit import audit, audit_tree  # noqa: PLC0415 - `--help` needs none of it

    look = audit_tree if tree else audit
    try:
        seen = look(pid, confirm_s=confirm)
    except UNSEEN as error:
        raise Trouble(said(error)) from None
    if json:
        click.echo(json_.dumps(seen.to_dict(), indent=2))
    else:
        from holdfast.cli.audit.show import show  # noqa: PLC0415 - as above

        show(seen)
    return HEALTHY if seen.healthy else FINDINGS
