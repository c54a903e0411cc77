"""The docstrings of the public face: they tell the arguments and the errors, and their examples run."""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "holdfast"

# Where users import from; the command line is documented by its help texts.
FACE = (
    "holdfast",
    "holdfast.pools",
    "holdfast.flow",
    "holdfast.limits",
    "holdfast.sense",
    "holdfast.testing",
    "holdfast.watch",
    "holdfast.track",
)

# ``fn, *args, **kwargs`` are the call itself, which the summary line shows as ``fn(*args, **kwargs)``.
THE_CALL = {"fn", "args", "kwargs"}

# "Do the same as :meth:`close`", "The arguments are those of :func:`stream`", "as the standard class".
TOLD_ELSEWHERE = re.compile(r"(?:same as|those of|[Ss]ee) :\w+:`|as the standard class")


def _callables():
    """Each public function, class and method of the face, by its full name."""
    seen = {}
    for room in FACE:
        module = importlib.import_module(room)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                seen[f"{thing.__module__}.{name}"] = thing
            elif inspect.isclass(thing):
                seen[f"{thing.__module__}.{name}"] = thing
                seen.update(_methods(thing))
    return seen


def _methods(kind):
    for owner in kind.__mro__:
        if not owner.__module__.startswith("holdfast"):
            continue
        for name, member in vars(owner).items():
            plain = getattr(member, "__func__", member)  # a static or a class method
            if inspect.isfunction(plain) and not name.startswith("_"):
                yield f"{owner.__module__}.{owner.__name__}.{name}", plain


CALLABLES = _callables()
each_callable = pytest.mark.parametrize("name", sorted(CALLABLES))
each_function = pytest.mark.parametrize(
    "name", sorted(name for name, thing in CALLABLES.items() if not inspect.isclass(thing))
)


def _parameters(thing):
    """What a caller gives by name or by place, without ``self``."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return []  # their attributes are told instead
    try:
        parameters = inspect.signature(thing).parameters
    except ValueError:  # a class without a signature of its own
        return []
    return [name for name in parameters if name not in {"self", "cls"}]


def _own_raises(function):
    """What the function's own body raises, without its inner functions."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    left, found = list(definition.body), []
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            found.append(ast.unparse(node))
        left += ast.iter_child_nodes(node)
    return found


def test_there_are_callables_to_look_at():
    """A search that finds nothing would let everything pass."""
    assert {
        "holdfast.flow.stream.stream",
        "holdfast.pools.thread_pool.ThreadPool",
        "holdfast.pools.thread_pool.ThreadPool.resize",
    } <= set(CALLABLES)


@each_callable
def test_every_public_callable_has_a_docstring(name):
    """One that was written for it, not one that it inherits from the standard library."""
    docstring = vars(CALLABLES[name]).get("__doc__") or CALLABLES[name].__doc__

    assert docstring
    assert len(docstring.split()) >= 3


@each_callable
def test_every_argument_of_a_public_callable_is_told(name):
    """In an Args section, or by its name in the prose, or by pointing to where it is told."""
    thing = CALLABLES[name]
    docstring = inspect.cleandoc(thing.__doc__ or "")
    if TOLD_ELSEWHERE.search(docstring):
        return
    arguments = docstring.partition("\nArgs:\n")[2] or docstring.partition("\nAttributes:\n")[2]

    untold = [
        parameter
        for parameter in _parameters(thing)
        if parameter not in THE_CALL
        and not re.search(rf"^\s+{parameter}: ", arguments, re.MULTILINE)
        and f"``{parameter}``" not in docstring
    ]

    assert not untold


@each_function
def test_what_a_public_function_raises_itself_is_told(name):
    """A ``raise`` in its own body has its section, with the class and when."""
    function = CALLABLES[name]
    docstring = inspect.cleandoc(function.__doc__ or "")

    if _own_raises(function) and not TOLD_ELSEWHERE.search(docstring):
        assert "\nRaises:\n" in docstring


def _modules_with_examples():
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", list(_modules_with_examples()))
def test_the_examples_in_docstrings_run(name):
    """Each with the names of its module, and with the output that it shows."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = [found for found in doctest.DocTestFinder().find(module, name) if found.examples]
    said = []

    for example in examples:
        runner.run(example, out=said.append)

    assert examples, "the examples are where doctest does not find them"
    assert not runner.failures, "".join(said)
