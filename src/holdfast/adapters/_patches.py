"""Names of other modules that are replaced, and put back.

Guarantees: what was replaced is put back exactly, unless somebody else has replaced it since (then it is
left); a module that is imported later is treated right after its import, before its importer goes on.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast

__all__ = ("Patches",)

_ABSENT = object()


class Patches:
    """What one installation has replaced. Not for several threads at once."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object, object]] = []
        self._later: _AfterImport | None = None

    def set(self, owner: Any, name: str, value: object) -> None:
        """Replace ``owner.name``."""
        before: object = cast("Mapping[str, object]", vars(owner)).get(name, _ABSENT)
        setattr(owner, name, value)
        self._done.append((owner, name, before, cast("Mapping[str, object]", vars(owner))[name]))

    def after_import(self, name: str, treat: Callable[[ModuleType], None]) -> None:
        """Call ``treat`` with a module: now if it is imported, else as soon as it is."""
        module = sys.modules.get(name)
        if module is not None:
            treat(module)
            return
        if self._later is None:
            self._later = _AfterImport()
            sys.meta_path.insert(0, self._later)
        self._later.treatments.setdefault(name, []).append(treat)

    def undo(self) -> None:
        """Put everything back, the last first."""
        if self._later is not None and self._later in sys.meta_path:
            sys.meta_path.remove(self._later)
        self._later = None
        while self._done:
            owner, name, before, ours = self._done.pop()
            if cast("Mapping[str, object]", vars(owner)).get(name) is not ours:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


class _AfterImport:
    """A finder that finds nothing itself, and has a look at a few modules when they were loaded."""

    def __init__(self) -> None:
        self.treatments: dict[str, list[Callable[[ModuleType], None]]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the others find one of the modules, and have its loader call back."""
        del path, target
        treatments = self.treatments.pop(name, None)
        if treatments is None:
            return None
        spec = find_spec(name)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return spec
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            for treat in treatments:
                treat(module)

        vars(spec.loader)["exec_module"] = exec_module  # of this spec alone
        return spec
