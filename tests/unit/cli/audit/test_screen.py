"""What ``holdfast audit`` draws: on a terminal of any width, and as plain text elsewhere."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from tests.unit.watch.looks import a_look, bounds

from holdfast.cli.audit import show as show_module
from holdfast.cli.audit.layout import headline, sections, tree_section, verdict
from holdfast.cli.audit.show import show
from holdfast.cli.screen import Paper, Terminal
from holdfast.cli.sections import Bar, Section, bounded, counts
from holdfast.sense.descriptor_kinds import Descriptor
from holdfast.sense.process_tree import ProcessState
from holdfast.sense.reading import Reading
from holdfast.sense.sockets import Socket
from holdfast.sense.thread_list import ThreadState
from holdfast.watch.audit import Audit, Tree, Unseen, findings

HELD = (
    *(Descriptor(n, "file", "/var/log/agent.log") for n in range(10, 22)),
    *(
        Descriptor(
            n,
            "socket",
            f"socket:[{n}]",
            Socket("tcp", "CLOSE_WAIT", f"10.0.0.1:{n}", "10.0.0.9:443"),
        )
        for n in range(100, 220)
    ),
    Descriptor(300, "socket", "socket:[300]", Socket("other")),
    Descriptor(301, "socket", "socket:[301]", Socket("unix", "LISTEN", "/run/agent.sock")),
    Descriptor(302, "deleted file", "/scratch/#4711", size_bytes=3 << 20),
)


@pytest.fixture
def audit():
    """Of a process that leaks."""
    look = a_look(
        descriptors=HELD,
        appending=frozenset(range(10, 22)),
        threads=tuple(ThreadState(n, f"db-{n}", "S", "a lock") for n in range(3)),
        children=(
            ProcessState(5, 4711, "git", "", "Z", depth=1),
            ProcessState(6, 4711, "git", "git log", "S", depth=1),
        ),
        memory=(Reading("memory", 1 << 30, "bytes", 2 << 30, "memory.max", "cgroup /a"),),
        bounds=bounds(descriptors=(95, 100)),
    )
    return Audit(look, findings(look))


def drawn(draw, width, encoding="utf-8"):
    """The lines on a terminal of some width."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    draw(
        Terminal(
            Console(file=file, width=width, force_terminal=True, color_system=None, highlight=False)
        )
    )
    return raw.getvalue().decode(encoding).splitlines()


def everything(audit):
    """Draw all of an audit."""

    def draw(paper):
        paper.headline(headline(audit.look))
        paper.sections(sections(audit))
        paper.findings(audit.findings, verdict((audit,)))

    return draw


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(audit, width):
    """However narrow it is."""
    lines = drawn(everything(audit), width)

    assert max(map(len, lines)) <= width
    assert any("CRITICAL" in line for line in lines)


def test_a_terminal_without_unicode_gets_ascii(audit):
    """Bars and arrows too."""
    lines = drawn(everything(audit), 100, "ascii")

    assert any("###" in line for line in lines)
    assert any(line.startswith("  -> ") for line in lines)


def test_as_text_there_is_everything_and_nothing_of_a_terminal(audit, capsys):
    """Each kind of thing with its count, the worst finding first, the verdict last."""
    everything(audit)(Paper())
    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)

    for line in (
        "  120  tcp CLOSE_WAIT to 10.0.0.9:443",
        "    1  unix LISTEN at /run/agent.sock",
        "    1  without an address: not connected yet, or not any more",
        "  12  .log",
        "  12  /var/log/agent.log",
        "Deleted files held open (3.0 MB)",
        "  3  db-N",
        "  3  sleeping in a lock",
        "  1  git (ended, and not waited for)",
        "  descriptors      95  95%  of 100     soft RLIMIT_NOFILE",
    ):
        assert line in lines, text
    severities = [line.split()[0] for line in lines if line.startswith(("CRIT", "WARN", "NOTE"))]
    assert severities == ["CRITICAL", "WARNING", "WARNING", "NOTE", "NOTE"]
    assert lines[-1] == "3 findings, 2 notes"
    assert "\x1b" not in text
    assert "━" not in text


def test_a_healthy_process_is_said_to_be_healthy():
    """In the last line."""
    look = a_look()

    assert verdict((Audit(look, ()),)) == "healthy: nothing found"


def test_a_tree_has_a_row_for_each_process_and_the_findings_say_whose_they_are(
    audit, capsys, monkeypatch
):
    """Children stand further in; who can't be seen is told."""
    monkeypatch.setattr(show_module, "screen", Paper)
    other = a_look(process=ProcessState(4712, 4711, "python", "python worker.py", "S"))
    tree = Tree((audit, Audit(other, ())), (Unseen(4713, "it belongs to user 5"),))

    show(tree)
    lines = capsys.readouterr().out.splitlines()

    rows = tree_section(tree).rows
    assert [row[0] for row in rows] == ["pid", "4711", "4712"]
    assert rows[2][4:] == ("healthy", "  python worker.py")
    assert any(line.startswith("CRITICAL process 4711: ") for line in lines)
    assert "  4713  it belongs to user 5" in lines
    assert not tree.healthy


def test_names_from_the_program_can_not_move_the_cursor(audit, capsys):
    """Nor fail to be written: paths may hold any bytes."""
    evil = replace(audit.findings[0], what="a\x1b[2Jb", evidence=("c\rd\udc80",))

    Paper().findings((evil,), "1 finding")
    lines = drawn(lambda paper: paper.findings((evil,), "1 finding"), 80)

    for shown in (capsys.readouterr().out.splitlines(), lines):
        assert any("a?[2Jb" in line for line in shown)
        assert any("c?d?" in line for line in shown)


def test_counts_of_many_names_end_with_the_rest():
    """So that the sum stays right."""
    section = counts("Files", {f"f{n}": 10 - n for n in range(5)}, most=3)

    assert section.rows == (("10", "f0"), ("9", "f1"), ("8", "f2"), ("13", "in 2 others"))


def test_a_reading_without_a_bound_has_no_bar():
    """And what is not known is a question mark."""
    section = bounded((Reading("x", None, "threads", note="not told"),), "Limits")

    assert section == Section("Limits", (("x", "?", Bar(None), "", "not told"),), right=(1,))
