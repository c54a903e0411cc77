"""``holdfast size``: how large a pool should be on this machine."""

import json
from dataclasses import asdict

import click

from holdfast.watch.recommend import KINDS, Kind, Recommendation, recommend

__all__ = ("size_command",)

_HELP = """Say how large a pool should be on this machine, and why.

KIND is the kind of work; without one, all of them are shown. For calls to a service, give the rate that
it allows and how long a call takes; for a database, its connections.
"""
_MORE_THAN_0 = click.FloatRange(min=0, min_open=True)


@click.command("size", help=_HELP)
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--rate", type=_MORE_THAN_0, metavar="N", help="Starts that the service allows...")
@click.option("--per", type=_MORE_THAN_0, default=1.0, metavar="SECONDS", help="...in so long [1].")
@click.option(
    "--response", type=_MORE_THAN_0, metavar="SECONDS", help="Mean seconds that a call takes."
)
@click.option(
    "--connections", type=click.IntRange(min=1), metavar="N", help="Connections of the database."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
def size_command(
    kind: Kind | None,
    rate: float | None,
    per: float,
    response: float | None,
    connections: int | None,
    as_json: bool,
) -> None:
    """Print the recommendations."""
    found = [
        recommend(
            one,
            rate=None if rate is None else rate / per,
            response_s=response,
            connections=connections,
        )
        for one in (KINDS if kind is None else (kind,))
    ]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: list[Recommendation]) -> list[str]:
    """A line for each kind of work."""
    rows = [(one.kind, f"{one.pool}({one.size})", one.reason) for one in found]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{kind:<{widths[0]}}  {pool:<{widths[1]}}  {reason}" for kind, pool, reason in rows]
