"""Reads the documentation strings of the standard library of the Python that runs this file.

Every public module is imported once, quietly, and its classes, functions, methods and properties
are listed under the name that a person would type: ``json.loads``, ``os.path.join``, ``str.split``.
An object with several names is listed once, under the shortest. Importing the whole standard
library costs a process about 50 MB, so the index is built in a process of its own.
"""

import contextlib
import importlib
import inspect
import io
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

# Modules that do something when they are imported, that need a display, that are another module
# under a second name, or that hold tests and tables instead of an interface.
NOT_READ = """
    antigravity this idlelib test tests turtledemo turtle tkinter lib2to3 distutils ensurepip
    encodings pydoc_data rlcompleter posix posixpath nt ntpath genericpath opcode
    sre_compile sre_constants sre_parse nturl2path pyexpat site
"""
SKIPPED = frozenset(NOT_READ.split())
# What Python writes by itself says nothing about the object it stands on.
GENERATED = re.compile(r"Alias for field number|Initialize self\.  See help")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
LONGEST_SIGNATURE = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One documented thing of the standard library."""

    name: str
    kind: str  # "module", "class", "function", "method" or "property"
    signature: str
    doc: str


def harvest() -> list[Entry]:
    """Return an entry for everything public and documented, in the order of the names."""
    modules = dict(public_modules())
    entries = [describe(name, module) for name, module in modules.items()]
    classes: dict[type, str] = {}
    seen: set[int] = set()
    for prefix, module in modules.items():
        for short, thing in public_names(module):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            name = short if prefix == "builtins" else f"{prefix}.{short}"
            if isinstance(thing, type) and short == thing.__name__:
                classes[thing] = name
            entries.append(describe(name, thing))
    for cls, name in classes.items():
        entries.extend(methods_of(cls, name, classes))
    # `unittest.main` is a module and also the class that it is for: the later one is meant.
    named = {entry.name: entry for entry in entries if entry is not None}
    return [named[name] for name in sorted(named)]


def public_modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield name and module: the built-ins first, then the shorter names before the longer."""
    waiting = sorted(name for name in sys.stdlib_module_names if is_public(name))
    waiting.insert(0, "builtins")
    done: set[str] = set()
    while waiting:
        deeper: list[str] = []
        for name in waiting:
            if name in done or (module := quiet_import(name)) is None:
                continue
            done.add(name)
            yield name, module
            found = pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}.")
            deeper.extend(info.name for info in found if is_public(info.name))
            if name == "os":
                deeper.append("os.path")  # a module that is not a file of its package
        waiting = sorted(deeper)


def is_public(name: str) -> bool:
    """Say whether a module's dotted name belongs in the index."""
    return not any(part.startswith("_") or part in SKIPPED for part in name.split("."))


def quiet_import(name: str) -> ModuleType | None:
    """Import a module without its warnings and its output; None where this machine lacks it."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit):  # noqa: BLE001 - another system's module fails as it likes
            return None


def public_names(module: ModuleType) -> list[tuple[str, Any]]:
    """List the classes and functions that a module offers to others."""
    declared: list[str] | None = getattr(module, "__all__", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reading a deprecated name warns
        found = {name: getattr(module, name, None) for name in [*(declared or ()), *dir(module)]}
    listed = [
        (name, thing)
        for name, thing in found.items()
        if (inspect.isclass(thing) or inspect.isroutine(thing))
        and not name.startswith("_")
        and (is_at_home(thing, module) if declared is None else is_listed(name, thing, module))
    ]
    # `bisect` and `bisect_right` are one function: the name that it calls itself comes first.
    return sorted(listed, key=lambda pair: pair[0] != getattr(pair[1], "__name__", ""))


def is_listed(name: str, thing: Any, module: ModuleType) -> bool:
    """Say whether a module, or the part of it that a thing comes from, has it in ``__all__``."""
    owner = getattr(thing, "__module__", None) or ""
    part = sys.modules.get(owner) if owner.startswith(f"{module.__name__}.") else None
    return any(name in getattr(place, "__all__", ()) for place in (module, part))


def is_at_home(thing: Any, module: ModuleType) -> bool:
    """Say whether a module without ``__all__`` defines a thing rather than borrowing it."""
    if module.__name__ == "builtins":
        return True
    owner = getattr(thing, "__module__", None) or module.__name__
    return owner.lstrip("_").partition(".")[0] == module.__name__.partition(".")[0]


def methods_of(cls: type, name: str, known: dict[type, str]) -> Iterator[Entry | None]:
    """Yield the entries of a class's own members.

    What comes from a public base class is listed there; what comes from a private one, here.
    """
    above = [base for base in cls.__mro__ if base is not cls and base in known]
    elsewhere = {object}.union(*(base.__mro__ for base in above))
    seen: set[str] = set()
    for base in cls.__mro__:
        if base in elsewhere:
            continue
        for short, raw in vars(base).items():
            if short.startswith("_") or short in seen:
                continue
            seen.add(short)
            yield describe(f"{name}.{short}", raw, member=True)


def describe(name: str, thing: Any, *, member: bool = False) -> Entry | None:
    """Make the entry of one thing, or None where nobody wrote anything about it."""
    thing = getattr(thing, "__func__", thing)  # what a classmethod or staticmethod holds
    kind = kind_of(thing, member=member)
    if not kind:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        doc = doc_of(thing)
    if not doc or GENERATED.match(doc):
        return None
    return Entry(name, kind, signature_of(thing) if callable(thing) else "", doc)


def doc_of(thing: Any) -> str:
    """Return what was written about a thing: of a class without a word, what its creation says."""
    try:
        if not inspect.isclass(thing):
            return (inspect.getdoc(thing) or "").strip()
        own = [vars(thing).get("__doc__"), getattr(vars(thing).get("__init__"), "__doc__", "")]
    except Exception:  # noqa: BLE001 - a lazy attribute may raise anything
        return ""
    return next((inspect.cleandoc(doc) for doc in own if doc and isinstance(doc, str)), "").strip()


def kind_of(thing: Any, *, member: bool) -> str:
    """Return the word for what a thing is; empty for constants and other data."""
    if inspect.ismodule(thing):
        return "module"
    if inspect.isclass(thing):
        return "class"
    if inspect.isroutine(thing):
        return "method" if member else "function"
    is_property = inspect.isdatadescriptor(thing) or hasattr(thing, "attrname")
    return "property" if member and is_property else ""


def signature_of(thing: Any) -> str:
    """Return a callable's parameters in brackets; empty where Python does not know them."""
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError, AttributeError):
        return ""
    text = ADDRESS.sub("", text)
    return text if len(text) <= LONGEST_SIGNATURE else ""
