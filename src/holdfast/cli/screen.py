"""Sections and findings on a terminal, and as plain text anywhere else."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.cli.finding_lines import finding_lines, printable
from holdfast.cli.sections import Bar, Cell, Row, Section
from holdfast.watch.finding import Finding

__all__ = ("Paper", "Terminal", "screen")

_BAR: Final = 16
_CAUTION, _CRITICAL = 0.8, 0.9
_STYLES: Final = {"critical": "bold red", "warning": "bold yellow", "note": "cyan"}
_INDENT: Final = "  "


class Terminal:
    """Draws with colours, as wide as the terminal is."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def headline(self, text: str) -> None:
        """Draw what all of it is about."""
        self._console.print(Text(printable(text), "bold"))

    def sections(self, sections: Iterable[Section]) -> None:
        """Draw each section below its heading."""
        for section in sections:
            self._console.print()
            self._console.print(Text(section.title, "bold cyan"))
            self._console.print(self._table(section))

    def findings(self, findings: Sequence[Finding], verdict: str) -> None:
        """Draw the findings, the worst first, and the verdict last."""
        width = max(20, self._console.width - 4)
        for each in findings:
            self._console.print()
            head = Text(f"{each.severity.upper()} ", _STYLES[each.severity])
            head.append(printable(each.what), "bold")
            self._console.print(head)
            for who in each.evidence:
                self._console.print(Text(f"    {printable(who)}", "cyan"), overflow="fold")
            for text in (each.means, f"→ {each.do}" if not self._ascii else f"-> {each.do}"):
                for line in textwrap.wrap(text, width):
                    self._console.print(Text(f"{_INDENT}{line}"))
        self._console.print()
        bad = any(each.severity != "note" for each in findings)
        self._console.print(Text(verdict, "bold yellow" if bad else "bold green"))

    @property
    def _ascii(self) -> bool:
        return not self._console.encoding.lower().startswith("utf")

    def _table(self, section: Section) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        for column in range(len(section.rows[0])):
            last = column == len(section.rows[0]) - 1
            table.add_column(
                justify="right" if column in section.right else "left",
                no_wrap=not last,
                overflow="fold",
            )
        for row in section.rows:
            table.add_row(*self._cells(row))
        return table

    def _cells(self, row: Row) -> list[Text]:
        first, *others = [self._cell(cell) for cell in row]
        return [Text(_INDENT) + first, *others]

    def _cell(self, cell: Cell) -> Text:
        if isinstance(cell, str):
            return Text(printable(cell))
        if cell.used is None:
            return Text("")
        full, empty = ("#", ".") if self._ascii else ("━", "─")
        filled = min(_BAR, max(1 if cell.used > 0 else 0, round(cell.used * _BAR)))
        colour = "red" if cell.used >= _CRITICAL else "yellow" if cell.used >= _CAUTION else "green"
        return Text(full * filled, colour) + Text(empty * (_BAR - filled), "bright_black")


class Paper:
    """Writes lines of text: no colour, no bar, nothing that depends on a width."""

    def headline(self, text: str) -> None:
        """Write what all of it is about."""
        click.echo(printable(text))

    def sections(self, sections: Iterable[Section]) -> None:
        """Write each section below its heading, in columns."""
        for section in sections:
            click.echo(f"\n{section.title}")
            rows = [[_plain(cell) for cell in row] for row in section.rows]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                cells = [
                    cell.rjust(width) if place in section.right else cell.ljust(width)
                    for place, (cell, width) in enumerate(zip(row, widths, strict=True))
                ]
                click.echo(f"{_INDENT}{'  '.join(cells)}".rstrip())

    def findings(self, findings: Sequence[Finding], verdict: str) -> None:
        """Write the findings, the worst first, and the verdict last."""
        for each in findings:
            click.echo("\n" + "\n".join(finding_lines(each)))
        click.echo(f"\n{verdict}")


def screen() -> Terminal | Paper:
    """Return what fits standard output."""
    console = Console(highlight=False)
    return Terminal(console) if console.is_terminal else Paper()


def _plain(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return "" if cell.used is None else f"{cell.used:.0%}"
    return printable(cell)
