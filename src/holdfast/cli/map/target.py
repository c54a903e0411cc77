"""Find the user's function: ``module:function`` or ``path/file.py:function``."""

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast.cli.map.blame import blame
from holdfast.cli.map.signature import check_signature, is_async
from holdfast.cli.map.user_error import UserError

__all__ = ("Target", "load_target")


@dataclass(frozen=True, slots=True)
class Target:
    """The function to run over the input.

    Attributes:
        spec: What the user wrote.
        function: A callable of one argument.
        is_async: Whether calling it gives a coroutine.
    """

    spec: str
    function: Callable[[Any], Any]
    is_async: bool


def load_target(spec: str) -> Target:
    """Import the module of ``spec`` and return its function, checked.

    The current directory (for a file: its folder) comes first on ``sys.path``.

    Args:
        spec: ``module:function`` or ``path/file.py:function``; the function may be a dotted path.

    Raises:
        UserError: It can't be found, imported, or called with one argument.
    """
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        msg = (
            f"TARGET {spec!r} names no function: write module:function or "
            f"path/file.py:function, such as {_example(spec)}"
        )
        raise UserError(msg)
    module = _import_file(Path(place)) if _is_path(place) else _import_module(place)
    function = _look_up(module, name, place)
    check_signature(function, spec)
    return Target(spec, function, is_async(function))


def _example(spec: str) -> str:
    place = spec.strip(":")
    return f"{place}:main" if place else "agent.py:answer"


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _import_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UserError(_failed_import(name, error, Path.cwd())) from error
        msg = (
            f"there is no module {error.name!r} in {Path.cwd()} or where Python looks; "
            f"a file is named by its path, such as {name.replace('.', '/')}.py"
        )
        raise UserError(msg) from error
    except (Exception, SystemExit) as error:
        raise UserError(_failed_import(name, error, Path.cwd())) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        msg = f"there is no file {path}" if not path.exists() else f"{path} is not a file"
        raise UserError(msg)
    folder = path.resolve().parent
    sys.path.insert(0, str(folder))
    # A file called like a module that is loaded, or of the standard library, must not replace it.
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"_target_{path.stem}" if taken else path.stem
    spec = spec_from_loader(name, SourceFileLoader(name, str(path.resolve())))
    if spec is None or spec.loader is None:  # a SourceFileLoader always gives both
        msg = f"{path} could not be imported"
        raise UserError(msg)
    module = module_from_spec(spec)
    sys.modules[name] = module  # pickling and dataclasses look it up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(_failed_import(str(path), error, folder)) from error
    return module


def _failed_import(what: str, error: BaseException, folder: Path) -> str:
    where = blame(error, folder)
    at = f" at {where}" if where else ""
    return f"{what} could not be imported{at}: {type(error).__name__}: {error}"


def _look_up(module: ModuleType, name: str, place: str) -> Any:
    found: Any = module
    walked = place
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            msg = f"{walked} has no {part!r}{_suggestion(found, part)}"
            raise UserError(msg) from None
        walked = f"{walked}:{part}" if walked == place else f"{walked}.{part}"
    return found


def _suggestion(owner: Any, wanted: str) -> str:
    names = [n for n in dir(owner) if not n.startswith("_")]
    callables = [n for n in names if callable(getattr(owner, n, None))]
    close = difflib.get_close_matches(wanted, callables, n=3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    own = [n for n in callables if _defined_in(owner, n)][:6]
    return f"; it has {', '.join(own)}" if own else "; it defines no function"


def _defined_in(owner: Any, name: str) -> bool:
    if not isinstance(owner, ModuleType):
        return True
    return getattr(getattr(owner, name), "__module__", None) == owner.__name__
