"""What is read of the standard library, and what is not."""

import json
import subprocess
import sys
import types
from collections import namedtuple

import harvest
import pytest


def test_modules_that_do_something_on_import_are_skipped():
    """Nothing below a skipped name is read either."""
    names = ["antigravity", "this", "idlelib.run", "unittest.test", "_thread", "json._private"]

    public = [name for name in names if harvest.is_public(name)]

    assert public == []


def test_public_modules_are_read():
    """The packages' parts as well."""
    assert harvest.is_public("json")
    assert harvest.is_public("xml.etree.ElementTree")


@pytest.mark.system
def test_reading_everything_says_nothing_and_opens_no_browser(docs_agent):
    """The whole library is imported without a warning, an output or a dangerous module."""
    program = (
        "import harvest, sys; names = {entry.name for entry in harvest.harvest()}; "
        "assert {'statistics.median', 'os.path.join', 'str.split', 'open'} <= names; "
        "bad = {'antigravity', 'this', 'idlelib', 'tkinter', 'turtledemo', 'test'}; "
        "assert not bad & set(sys.modules), bad & set(sys.modules)"
    )

    command = [sys.executable, "-W", "default", "-c", program]
    done = subprocess.run(  # noqa: S603 - this Python and the program above
        command, cwd=docs_agent, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_loud_module_is_imported_quietly(tmp_path, monkeypatch, capfd):
    """Its output and its warnings go nowhere."""
    source = "import sys, warnings\nprint('hello')\nwarnings.warn('old', DeprecationWarning)\n"
    (tmp_path / "loud_module_of_a_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    module = harvest.quiet_import("loud_module_of_a_test")

    assert module is not None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "raise OSError", "import not_there_x"])
def test_a_module_that_can_not_be_imported_is_left_out(tmp_path, monkeypatch, source):
    """Not even one that asks the process to end is a reason to stop."""
    (tmp_path / "broken_module_of_a_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    assert harvest.quiet_import("broken_module_of_a_test") is None


@pytest.fixture
def module():
    """A module with a function of its own, a private one, and one from elsewhere."""

    def own():
        """Its own."""

    def hidden():
        """Nobody's business."""

    made = types.ModuleType("made")
    own.__module__ = hidden.__module__ = "made"
    vars(made).update(own=own, _hidden=hidden, loads=json.loads)
    return made


def test_a_module_offers_what_it_defines_and_not_what_it_borrows(module):
    """Without ``__all__``, a name from elsewhere is not its own."""
    names = [name for name, _ in harvest.public_names(module)]

    assert names == ["own"]


def test_all_decides_where_there_is_one(module):
    """What ``__all__`` does not list is not offered."""
    module.__all__ = ["loads"]

    names = [name for name, _ in harvest.public_names(module)]

    assert names == ["loads"]


class _Base:
    def kept(self):
        """Stands at the base."""


class _Private:
    def lent(self):
        """Comes from a class that nobody can name."""


class _Child(_Private, _Base):
    """A class."""

    @property
    def size(self):
        """How large."""
        return 1

    @staticmethod
    def make():
        """Make one."""

    def silent(self):
        pass


def test_members_of_public_bases_are_listed_once_and_those_of_private_ones_where_they_appear():
    """A method is found under one name."""
    known = {_Base: "m.Base", _Child: "m.Child"}

    found = [entry for entry in harvest.methods_of(_Child, "m.Child", known) if entry]

    names = {entry.name: entry.kind for entry in found}
    assert names == {
        "m.Child.size": "property",
        "m.Child.make": "method",
        "m.Child.lent": "method",
    }


def test_what_python_writes_by_itself_is_no_documentation():
    """The fields of a named tuple say nothing."""
    point = namedtuple("point", "x")

    entry = harvest.describe("point.x", vars(point)["x"], member=True)

    assert entry is None


def test_a_class_without_a_word_is_described_by_its_creation():
    """And not by what its base class says."""

    class Silent(_Child):
        def __init__(self, size):
            """Make one of a size."""

    entry = harvest.describe("Silent", Silent)

    assert entry is not None
    assert (entry.kind, entry.doc) == ("class", "Make one of a size.")


def test_a_signature_holds_no_address():
    """The same Python gives the same entry each time."""

    def function(thing=_Base()):  # noqa: B008 - a default whose repr has an address
        """Do it."""

    entry = harvest.describe("function", function)

    assert entry is not None
    assert "_Base object>" in entry.signature
    assert " at 0x" not in entry.signature


def test_data_has_no_entry():
    """The documentation of an int's type says nothing about a constant."""
    assert harvest.describe("answer", 42) is None
