"""Shows an audit, or the audits of a tree."""

from dataclasses import replace

from holdfast.cli.audit.layout import headline, sections, tree_section, verdict
from holdfast.cli.screen import screen
from holdfast.cli.sections import Section
from holdfast.watch.audit import Audit, Tree

__all__ = ("show",)


def show(seen: Audit | Tree) -> None:
    """Print what was seen, then what was found."""
    paper = screen()
    if isinstance(seen, Audit):
        paper.headline(headline(seen.look))
        paper.sections(sections(seen))
        paper.findings(seen.findings, verdict((seen,)))
        return
    paper.headline(headline(seen.audits[0].look))
    paper.sections([tree_section(seen), *_unseen(seen)])
    found = [
        replace(each, what=f"process {audit.look.process.pid}: {each.what}")
        for audit in seen.audits
        for each in audit.findings
    ]
    found.sort(key=lambda each: ("critical", "warning", "note").index(each.severity))
    paper.findings(found, verdict(seen.audits))


def _unseen(tree: Tree) -> list[Section]:
    rows = tuple((str(each.pid), each.why) for each in tree.unseen)
    return [Section("Not to be seen", rows, right=(0,))] if rows else []
