"""The documents: what they show runs, what they name exists, and nothing is left out."""

import asyncio
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from holdfast import errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "holdfast"
PAGES = sorted(
    [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    + list((ROOT / "docs").rglob("*.md"))
)
SECTIONS = ("Context", "Decision", "What it costs", "What would change our mind")

FENCE = re.compile(r"^```python(?P<mark>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
REASON = re.compile(r"<!-- no-run: \S.*-->\n\Z")
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#\s]+)")
TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>\w+)`")
ROOM = re.compile(
    r"^### `src/holdfast/(?P<folder>[\w/]*)`.*?\n(?P<body>.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r"`([\w/]+\.py)`")


def blocks():
    """Every python block of README.md and docs/: its page, its line, its mark, its code."""
    pages = [page for page in PAGES if page.parent != ROOT or page.name == "README.md"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            before = text[: match.start()]
            line = before.count("\n") + 2
            name = f"{page.relative_to(ROOT)}:{line}"
            yield pytest.param(
                name, before, match["mark"], "\n" * (line - 1) + match["code"], id=name
            )


@pytest.mark.system
@pytest.mark.parametrize(("name", "before", "mark", "code"), list(blocks()))
def test_every_python_block_runs(name, before, mark, code, monkeypatch, tmp_path):
    """Each in a namespace and a folder of its own; a block that can't be run says why."""
    monkeypatch.chdir(tmp_path)
    program = compile(code, name, "exec", dont_inherit=True)

    if mark:
        assert mark.strip() == "no-run"
        assert REASON.search(before), (
            "a comment on the line above must say why: <!-- no-run: ... -->"
        )
        return
    namespace = {"__name__": "__main__"}
    exec(program, namespace)  # noqa: S102 - the project's own documents

    for key, test in list(namespace.items()):
        if key.startswith("test_"):  # a block that shows a test
            assert inspect.iscoroutinefunction(test)
            asyncio.run(test())


def test_there_are_blocks_to_run():
    """A pattern that finds nothing would let everything pass."""
    assert sum(param.id.startswith("README.md") for param in blocks()) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    """A file that was moved or renamed takes its links with it."""
    text = page.read_text(encoding="utf-8")

    dead = [link for link in LINK.findall(text) if not (page.parent / link).exists()]

    assert not dead


def rooms():
    """What ARCHITECTURE.md lists: each file in the first column of a table under a room's heading."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for room in ROOM.finditer(text):
        for row in re.findall(r"^\| ([^|]*)\|", room["body"], re.MULTILINE):
            for file in FILE.findall(row):
                yield f"{room['folder']}{file}"


def test_the_architecture_names_every_file_once():
    """One line for each; the command line and the model server may be told in groups."""
    listed = list(rooms())
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    own_line = {
        file
        for file in there
        if not file.startswith(("cli/", "testing/model_server/"))
        and (file == "__init__.py" or not file.endswith("/__init__.py"))
    }

    assert {"missing": own_line - set(listed), "gone": set(listed) - there} == {
        "missing": set(),
        "gone": set(),
    }
    assert sorted(listed) == sorted(set(listed))


def test_every_file_that_the_architecture_mentions_exists():
    """In its prose too, where a file is named alone or with its room."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    there = [
        "/" + path.relative_to(ROOT).as_posix()
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
    ]

    gone = [
        file for file in FILE.findall(text) if not any(path.endswith("/" + file) for path in there)
    ]

    assert not gone


@cache
def names_of_tests(file):
    """The test functions of one file."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)\(", text, re.MULTILINE))


@pytest.mark.parametrize("page", ["guarantees.md", "resources.md"])
def test_every_test_that_the_guarantees_cite_exists(page):
    """A promise is shown by a test that can be found under its name."""
    cited = TEST.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))

    gone = [f"{file}::{name}" for file, name in cited if name not in names_of_tests(file)]

    assert cited
    assert not gone


def test_every_error_is_explained():
    """The page of errors has a heading for each public class, and for nothing else."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

    explained = re.findall(r"^#{2,3} `(\w+)`", text, re.MULTILINE)

    assert sorted(explained) == sorted(errors.__all__)


def test_decision_records_are_numbered_and_complete():
    """From 0001 without a gap, each with the same four sections and a line in the list."""
    folder = ROOT / "docs" / "adr"
    records = sorted(folder.glob("[0-9]*.md"))
    listed = (folder / "README.md").read_text(encoding="utf-8")

    numbers = [int(record.name[:4]) for record in records]
    incomplete = [
        record.name
        for record in records
        if tuple(re.findall(r"^## (.*)$", record.read_text(encoding="utf-8"), re.MULTILINE))
        != SECTIONS
    ]

    assert numbers == list(range(1, len(records) + 1))
    assert not incomplete
    assert [record.name for record in records if record.name not in listed] == []


def test_fragments_have_a_known_kind():
    """``changes/<slug>.<kind>.md``, so that the changelog can be put together from them."""
    odd = [
        path.name
        for path in (ROOT / "changes").iterdir()
        if not re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md", path.name)
    ]

    assert not odd


def test_the_page_of_benchmarks_names_each_claim_once():
    """In the table of what is compared; a claim is a file of ``benchmarks``."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    table = text.partition("| claim |")[2].partition("\n\n")[0]

    claims = sorted(path.stem.removeprefix("bench_") for path in ROOT.glob("benchmarks/bench_*.py"))
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == claims
