"""The public names: all there, all resolvable, and one version."""

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

import holdfast

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "holdfast"

# What DESIGN section 4 promises at the top level and this version has.
PROMISED = {
    "AsyncPool",
    "CallTimeout",
    "Failed",
    "HoldfastError",
    "Leaked",
    "Outcome",
    "PoolClosed",
    "QueueFull",
    "QueueTimeout",
    "Rate",
    "RateLimited",
    "Rejected",
    "ResultLost",
    "Retry",
    "Stream",
    "ThreadPool",
    "UnderPressure",
    "WorkerLost",
    "WouldDeadlock",
    "audit",
    "errors",
    "explain",
    "gather",
    "snapshot",
    "stream",
}


def _modules():
    """Every module of the package by its dotted name, but the one that runs when it is loaded."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not name.endswith("__main__"):
            yield name, path


def _is_public(name):
    return not any(part.startswith("_") for part in name.split("."))


MODULES = dict(_modules())
PUBLIC = [name for name in MODULES if _is_public(name)]


def test_there_are_public_modules():
    """A search that finds nothing would let everything pass."""
    assert {"holdfast", "holdfast.errors", "holdfast.pools", "holdfast.testing"} <= set(PUBLIC)


@pytest.mark.parametrize("name", MODULES)
def test_every_name_in_all_resolves(name):
    """In every module, private ones too: ``from module import *`` works."""
    module = importlib.import_module(name)

    missing = [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]

    assert not missing


@pytest.mark.parametrize("name", PUBLIC)
def test_no_name_is_listed_twice(name):
    """``__all__`` is a set in the order of a tuple."""
    public = getattr(importlib.import_module(name), "__all__", ())

    assert len(set(public)) == len(public)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_modules_say_what_is_public(name):
    """Whatever a public module defines for others is in its ``__all__``, which it has."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    defines = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    ]

    if defines:
        assert hasattr(importlib.import_module(name), "__all__")


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_the_promised_names_are_at_the_top(name):
    """They are importable from ``holdfast`` and listed."""
    assert name in holdfast.__all__
    assert getattr(holdfast, name) is not None


def test_every_error_is_at_the_top():
    """Who catches an error needs one import."""
    assert set(holdfast.errors.__all__) <= set(holdfast.__all__)
    assert all(
        getattr(holdfast, name) is getattr(holdfast.errors, name)
        for name in holdfast.errors.__all__
    )


def test_dir_shows_every_public_name():
    """Completion in a shell finds what there is, also where names are loaded when asked for."""
    for name in ("holdfast", "holdfast.pools", "holdfast.testing"):
        module = importlib.import_module(name)
        assert set(module.__all__) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error():
    """Modules that load names when asked for do not swallow mistakes."""
    for name in ("holdfast", "holdfast.testing"):
        module = importlib.import_module(name)
        with pytest.raises(AttributeError, match="NoSuchThing"):
            module.NoSuchThing  # noqa: B018 - asking is the test


def test_the_version_is_that_of_the_distribution():
    """One version, in the metadata and in the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == holdfast.__version__
