"""What can be set from outside of the program: in ``holdfast.toml``, in ``pyproject.toml``, in the environment.

Later ones win: the defaults, a file, the environment. A key that there is not is refused, with the nearest
one that there is: a setting that silently does nothing is found out in production.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, cast, get_args

from holdfast.config.settings import Config

__all__ = ("load",)

PREFIX: Final = "HOLDFAST_"
FILE: Final = "holdfast.toml"
OWN_FILE: Final = "HOLDFAST_CONFIG"


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] = ".",
) -> Config:
    """Read what is set.

    The file is ``path``, or what ``HOLDFAST_CONFIG`` names, or ``holdfast.toml`` in ``folder``, or the
    table ``[tool.holdfast]`` of ``pyproject.toml`` there; the first of them that there is. Over it goes the
    environment: ``HOLDFAST_MONITOR_INTERVAL=5`` is ``interval`` in the table ``[monitor]``.

    Args:
        path: A file of settings; a ``pyproject.toml`` is known by its name.
        environ: The environment; None is that of the process.
        folder: Where to look for a file.

    Returns:
        All settings; the defaults for what nobody has set.

    Raises:
        FileNotFoundError: The file that was named is not there.
        ValueError: A key that there is not, or a value that it can't have. The message says where it
            stands, and which key is nearest.
    """
    environ = os.environ if environ is None else environ
    config = Config()
    found = _find(path if path is not None else environ.get(OWN_FILE), Path(folder))
    if found is not None:
        config = _merged(config, _table(found), str(found), ())
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS:
            config = _set(config, name, text)
    return config


_NOT_SETTINGS: Final = frozenset({OWN_FILE, "HOLDFAST_TREE"})
"""Variables of ours that set nothing here."""


# ---------------------------------------------------------------- files


def _find(named: str | os.PathLike[str] | None, folder: Path) -> Path | None:
    if named is not None:
        path = Path(named)
        if not path.is_file():
            msg = f"there is no file {str(path)!r} to read settings from"
            raise FileNotFoundError(msg)
        return path
    own = folder / FILE
    if own.is_file():
        return own
    shared = folder / "pyproject.toml"
    return shared if shared.is_file() else None


def _table(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            table: dict[str, Any] = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not TOML: {error}"
        raise ValueError(msg) from error
    if path.name != "pyproject.toml":
        return table
    own = table.get("tool", {}).get("holdfast", {})
    return cast("Mapping[str, Any]", own) if isinstance(own, dict) else {}


def _merged(part: Any, table: Mapping[str, Any], where: str, path: tuple[str, ...]) -> Any:
    """``part`` with what ``table`` says of it; ``path`` leads to it."""
    changes: dict[str, Any] = {}
    known = {each.name: each for each in fields(part)}
    for key, value in table.items():
        full = (*path, key)
        if key not in known:
            raise ValueError(_unknown(".".join(full), where, (".".join(one) for one in _keys())))
        now = getattr(part, key)
        if is_dataclass(now):
            if not isinstance(value, dict):
                msg = f"{where}: {'.'.join(full)} is a table of settings, not {value!r}"
                raise ValueError(msg)
            changes[key] = _merged(now, cast("Mapping[str, Any]", value), where, full)
        else:
            changes[key] = _fitting(value, known[key].type, f"{where}: {'.'.join(full)}")
    return _replaced(part, changes, where)


# ---------------------------------------------------------------- the environment


def _set(config: Config, name: str, text: str) -> Config:
    path = _names().get(name)
    if path is None:
        raise ValueError(_unknown(name, "the environment", _names()))
    changed: Config = _put(config, path, text, f"the environment: {name}")
    return changed


def _put(part: Any, path: tuple[str, ...], text: str, where: str) -> Any:
    key, rest = path[0], path[1:]
    if rest:
        value = _put(getattr(part, key), rest, text, where)
    else:
        kind = next(each.type for each in fields(part) if each.name == key)
        value = _fitting(_read(text, kind), kind, where)
    return _replaced(part, {key: value}, where)


def _read(text: str, kind: Any) -> Any:
    """What a variable says, as TOML would: a number, a truth, or a text."""
    kinds = _kinds(kind)
    if bool in kinds:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(
            text.lower(), text
        )
    for number in (int, float):
        if number in kinds:
            try:
                return number(text.replace("_", ""))
            except ValueError:
                continue
    return text


# ---------------------------------------------------------------- keys and values


def _keys(part: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting."""
    part = Config() if part is None else part
    for each in fields(part):
        value = getattr(part, each.name)
        if is_dataclass(value):
            yield from _keys(value, (*path, each.name))
        else:
            yield (*path, each.name)


def _names() -> dict[str, tuple[str, ...]]:
    """The variables of the environment, with the settings that they stand for."""
    return {PREFIX + "_".join(path).upper(): path for path in _keys()}


def _unknown(key: str, where: str, names: Iterable[str]) -> str:
    known = list(names)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"{where}: there is no setting {key!r}; do you mean {near[0]!r}?"
    return f"{where}: there is no setting {key!r}; there are {', '.join(known)}"


def _kinds(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _fitting(value: Any, kind: Any, where: str) -> Any:
    """``value`` if it is of this kind; a whole number is a float where one is wanted."""
    kinds = _kinds(kind)
    if isinstance(value, bool) != (bool in kinds):
        fits = False
    elif isinstance(value, int) and float in kinds:
        value, fits = float(value), True
    else:
        fits = isinstance(value, kinds)
    if not fits:
        wanted = " or ".join(_WORDS[one] for one in kinds if one is not NoneType)
        msg = f"{where} must be {wanted}, not {value!r}"
        raise ValueError(msg)
    return value


_WORDS: Final[dict[Any, str]] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
}


def _replaced(part: Any, changes: dict[str, Any], where: str) -> Any:
    try:
        return replace(part, **changes)
    except (ValueError, TypeError) as error:
        msg = f"{where}: {error}" if not str(error).startswith(where) else str(error)
        raise ValueError(msg) from error
