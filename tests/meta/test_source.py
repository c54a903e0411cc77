"""What every source file keeps to, read from its syntax."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from holdfast import AsyncPool, ResourcePool, Stream, ThreadPool

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "holdfast"
FILES = sorted(PACKAGE.rglob("*.py"))
CLOCK = PACKAGE / "_core" / "clock.py"

MOST_LINES = 400

each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


@cache
def _nodes(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(path):
    """Each imported module, and what is taken from it, with the line."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield node.module or "", name.name, node.lineno


def test_there_are_files_to_look_at():
    """A search that finds nothing would let everything pass."""
    assert CLOCK in FILES
    assert len(FILES) > 20


@each_file
def test_nothing_inside_imports_the_root_package(path):
    """Not even for types: the root is what users see, and it imports everything else."""
    if path == PACKAGE / "__init__.py":
        return

    found = [
        line
        for module, name, line in _imports(path)
        if module == "holdfast" or (name is None and module.startswith("holdfast."))
    ]

    assert not found


@each_file
def test_only_one_file_reads_the_clock_or_sleeps(path):
    """``_core/clock.py``, so that time can be faked and a review knows where to look."""
    if path == CLOCK:
        return

    imported = [
        line
        for module, name, line in _imports(path)
        if module in {"time", "sched"} or (module == "threading" and name == "Timer")
    ]
    asked = [
        node.lineno
        for node in _nodes(path)
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and isinstance(node.value, ast.Name | ast.Attribute)
        and ast.unparse(node.value).split(".")[-1] in {"datetime", "date"}
    ]

    assert not imported
    assert not asked


@each_file
def test_no_file_is_longer_than_one_can_read(path):
    """Small rooms."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@each_file
def test_every_file_says_what_it_is_for(path):
    """A docstring at its top, that begins like a sentence."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert docstring
    assert docstring[0].isupper() or not docstring[0].isalpha() or docstring.startswith("holdfast")


@each_file
def test_what_messages_tell_the_user_to_call_exists(path):
    """An error that names ``pool.something()`` names a method that pools have."""
    told = [
        name
        for node in _nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in re.findall(r"\b(?:pool|stream)\.(\w+)\(", node.value)
    ]

    missing = [
        name
        for name in told
        if not any(hasattr(kind, name) for kind in (AsyncPool, ThreadPool, Stream, ResourcePool))
    ]

    assert not missing
