"""``--idempotent FILE``: what has begun and what came of it, known before OUTPUT is.

Purpose: a run that was killed has items whose function had begun and whose line is not in OUTPUT. OUTPUT
alone can't tell these from items that never ran; FILE can.

Guarantees: the start of an item is on the disk before its function is called, and its value before its line
is written. So a value that was computed is never computed again, and an item that is run a second time is
so by the user's wish.
Assumptions: keys differ within a run. What FILE holds is JSON, so reading it runs nobody's code.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.cli.map.calls import NOT_STARTED
from holdfast.cli.map.item import Item
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.record import NotJSONError, to_json
from holdfast.cli.map.user_error import FAILED, UserError
from holdfast.errors import Failed, QueueFull
from holdfast.flow._idempotency_calls import IdempotentCore
from holdfast.flow._idempotency_record import Claim, Record
from holdfast.flow._idempotency_sqlite import SQLiteStore

__all__ = ("Found", "Journal", "JournalError", "open_journal")

_MOST = 1_000_000
_AGE_S = 30 * 86_400.0

Run = Callable[[Item], Any]


class Found(NamedTuple):
    """What an earlier run has left, in the place of an outcome.

    Attributes:
        record: What is known; ``"done"`` with a value, or an item that has begun and has none.
    """

    record: Record


class JournalError(Exception):
    """FILE could not be written, so the function was not called. Returned, as no retry would help."""


class Journal:
    """The file, and the calls that it knows of.

    Args:
        core: Asks the file, where that blocks no loop.
        job: Stands before each key: other functions have other outcomes.
        name: The file's name, for messages.
    """

    def __init__(self, core: IdempotentCore, job: str, name: str) -> None:
        self._core = core
        self._job = job
        self._name = name
        self._broken: JournalError | None = None

    def wrap(self, run: Run, *, is_async: bool) -> Run:
        """Return ``run`` with a note before and after; it returns ``Found`` where it need not run."""
        return self._wrap_async(run) if is_async else self._wrap_sync(run)

    def _wrap_async(self, run: Callable[[Item], Awaitable[Any]]) -> Run:
        core = self._core

        async def noted(item: Item) -> Any:
            if self._is_new(item):
                try:
                    # Once it is broken nobody waits for it any more.
                    found: Found | JournalError | None = self._broken or self._begun(
                        item, await core.begin(self._key(item))
                    )
                except (sqlite3.Error, QueueFull) as error:
                    found = self._broken = self._cannot(error)
                if found is not None:
                    return found
            try:
                value = await run(item)
            except Exception as error:
                await core.ask(self._failed, item, error)
                raise
            await core.ask(self._ended, item, value)
            return value

        return noted

    def _wrap_sync(self, run: Run) -> Run:
        core = self._core

        def noted(item: Item) -> Any:
            if self._is_new(item):
                try:
                    # Once it is broken nobody waits for it any more.
                    found: Found | JournalError | None = self._broken or self._begun(
                        item, core.take(self._key(item))
                    )
                except (sqlite3.Error, QueueFull) as error:
                    found = self._broken = self._cannot(error)
                if found is not None:
                    return found
            try:
                value = run(item)
            except Exception as error:
                self._failed(item, error)
                raise
            self._ended(item, value)
            return value

        return noted

    def _is_new(self, item: Item) -> bool:
        """Whether its start is to be noted: not for a further attempt, nor for what is never run."""
        return item.bad is None and item.claim is None

    def _begun(self, item: Item, claim: Claim | Record) -> "Found | None":
        if isinstance(claim, Record):
            return Found(claim)
        item.claim = claim
        return None

    def _key(self, item: Item) -> str:
        return f"{self._job} {item.key}"

    def _ended(self, item: Item, value: Any) -> None:
        claim = item.claim
        if not isinstance(claim, Claim):
            return
        if value is NOT_STARTED:  # the run was stopped meanwhile
            self._core.forget(self._key(item), claim)
            return
        try:
            to_json(value)
        except NotJSONError as error:  # its line will say so, and a retry is to run it
            self._failed(item, error)
            return
        self._core.note(self._key(item), claim, value, None)

    def _failed(self, item: Item, error: Exception) -> None:
        """An error of its own is an outcome that OUTPUT has; after any other it stays begun."""
        if isinstance(error, Failed):
            return  # a further attempt of this run goes on with the same claim
        claim, item.claim = item.claim, None
        if isinstance(claim, Claim):
            self._core.note(self._key(item), claim, None, error)

    def _cannot(self, error: Exception) -> JournalError:
        return JournalError(f"{self._name} can't be written, so nothing more was begun: {error}")


@contextmanager
def open_journal(options: MapOptions, spec: str) -> Generator[Journal | None]:
    """Open the file that ``--idempotent`` names; None without it.

    Raises:
        UserError: It can't be opened, or is something else.
    """
    name = options.idempotent
    if name is None:
        yield None
        return
    try:
        store = SQLiteStore(name, max_records=_MOST, max_age=_AGE_S, dumps=_dumps, loads=json.loads)
    except (sqlite3.Error, ValueError) as error:
        msg = f"--idempotent: {name} can't be used: {error}"
        raise UserError(msg) from error
    core = IdempotentCore(store, "map", repeat=options.on_unfinished == "repeat", keep_errors=False)
    try:
        yield Journal(core, _job(spec), name)
    finally:
        core.close()
        store.close()


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False).encode()


def _job(spec: str) -> str:
    """The function's name with that of its module, however the user wrote it."""
    place, _, name = spec.rpartition(":")
    return f"{Path(place).stem if place.endswith('.py') else place.rpartition('.')[2]}:{name}"


def run_error(error: JournalError) -> UserError:
    """What ends the run."""
    return UserError(str(error), exit_code=FAILED)
