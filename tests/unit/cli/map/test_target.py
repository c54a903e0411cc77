"""How TARGET is found, and what is said when it is not."""

import functools
import sys

import pytest

from holdfast.cli.map.signature import is_async
from holdfast.cli.map.target import load_target
from holdfast.cli.map.user_error import UserError

SOURCE = """
import functools

def answer(item): return item + 1
async def answer_later(item): return item
def nothing(): return 1
def two(a, b): return 1
def named(item, *, model): return 1
def optional(item, model="x"): return 1
def anything(*args): return 1
def gives(item): yield item
class Agent:
    def ask(self, item): return ("asked", item)
    async def __call__(self, item): return item
agent = Agent()
partial_two = functools.partial(two, 1)
number = 7
"""


@pytest.fixture
def here(tmp_path, monkeypatch, clean_imports):
    """A current directory with a module ``work`` in it."""
    (tmp_path / "work.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(spec):
    """The sentence with which ``spec`` is refused."""
    with pytest.raises(UserError) as error:
        load_target(spec)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("place", ["work", "work.py", "./work.py"])
def test_a_function_is_found_by_module_and_by_file(here, place):
    """The current directory is looked in, and a path works as well."""
    target = load_target(f"{place}:answer")

    assert target.function(1) == 2
    assert not target.is_async


def test_a_file_elsewhere_finds_its_neighbours(here, tmp_path):
    """The file's folder comes first on the path, not the current directory."""
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "friend.py").write_text("word = 'hello'\n")
    (folder / "main.py").write_text("import friend\ndef go(item): return friend.word\n")

    target = load_target("deep/er/main.py:go")

    assert target.function(None) == "hello"


def test_a_file_named_like_a_standard_module_replaces_nothing(here):
    """A file ``json.py`` is loaded under another name."""
    import json

    (here / "json.py").write_text("def go(item): return 'mine'\n")

    target = load_target("json.py:go")

    assert target.function(None) == "mine"
    assert sys.modules["json"] is json


def test_a_module_of_a_package_is_found(here):
    """Dots lead into packages."""
    (here / "pack").mkdir()
    (here / "pack" / "__init__.py").touch()
    (here / "pack" / "inner.py").write_text("def go(item): return item\n")

    assert load_target("pack.inner:go").function(3) == 3


def test_a_dotted_function_is_looked_up_step_by_step(here):
    """A method of an object in the module will do."""
    assert load_target("work:agent.ask").function(1) == ("asked", 1)


@pytest.mark.parametrize(
    ("name", "expected"), [("answer_later", True), ("agent", True), ("agent.ask", False)]
)
def test_async_is_detected(here, name, expected):
    """Coroutine functions and objects with an async ``__call__`` run on the loop."""
    assert load_target(f"work:{name}").is_async is expected


def test_async_is_seen_through_partials():
    """A partial of a coroutine function is one, too; a class with an async call is not."""

    async def later(a, b):
        return a, b

    class Agent:
        async def __call__(self, item):
            return item

    assert is_async(functools.partial(functools.partial(later, 1)))
    assert is_async(functools.partial(Agent()))
    assert not is_async(Agent)
    assert not is_async(len)


@pytest.mark.parametrize("name", ["optional", "anything", "partial_two", "answer"])
def test_what_can_take_one_argument_is_accepted(here, name):
    """Defaults, ``*args`` and partials count."""
    assert load_target(f"work:{name}")


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("work", ["'work'", "module:function", "work:main"]),
        ("work:", ["names no function"]),
        (":answer", ["names no function"]),
        ("", ["names no function"]),
        ("wrok:answer", ["no module 'wrok'", "wrok.py"]),
        ("pack.wrok:answer", ["no module 'pack'"]),
        ("missing.py:answer", ["no file missing.py"]),
        ("work:anser", ["work has no 'anser'", "did you mean answer"]),
        ("work:zzz", ["work has no 'zzz'", "it has", "answer"]),
        ("work:agent.aks", ["work:agent has no 'aks'", "ask"]),
        ("work:number", ["not a function", "an int"]),
        ("work:nothing", ["takes no argument", "called with one"]),
        ("work:two", ["needs 2 arguments (a, b)"]),
        ("work:named", ["keyword argument 'model'"]),
        ("work:Agent.ask", ["needs 2 arguments (self, item)"]),
        ("work:gives", ["generator function", "one value"]),
    ],
)
def test_a_wrong_target_gets_one_clear_sentence(here, spec, parts):
    """What is wrong, where, and what would do."""
    sentence = refused(spec)

    for part in parts:
        assert part in sentence


def test_a_folder_is_no_file(here):
    """A path that leads to a folder says so."""
    (here / "folder.py").mkdir()

    assert refused("folder.py:go") == "folder.py is not a file"


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("x = 1\nimport not_there_at_all\n", ["line 2", '"import not_there_at_all"', "ModuleNot"]),
        ("def f(:\n", ["line 1", '"def f(:"', "SyntaxError"]),
        ("x = 1\n\nx.nope\n", ["line 3", '"x.nope"', "AttributeError"]),
        ("import sys\nsys.exit('bye')\n", ["line 2", "SystemExit: bye"]),
        ("import json\njson.loads('{')\n", ["line 2", """json.loads('{')""", "JSONDecodeError"]),
    ],
)
@pytest.mark.parametrize("spec", ["broken:go", "broken.py:go"])
def test_a_failing_import_shows_the_user_s_own_line(here, source, parts, spec):
    """The line in the user's file is named, even if the error arose deeper."""
    (here / "broken.py").write_text(source)

    sentence = refused(spec)

    assert "could not be imported at broken.py" in sentence
    for part in parts:
        assert part in sentence
