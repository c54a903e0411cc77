"""Nests of calls over a few pools: what each call does is a tree, and who runs it is a pool of either kind."""

import asyncio
import itertools
from dataclasses import dataclass, field

from holdfast.errors import WouldDeadlock
from holdfast.pools import AsyncPool, ThreadPool

__all__ = ("Call", "Nest", "never_stuck", "one_after_the_other")


@dataclass(frozen=True)
class Call:
    """One call: where it runs, and which calls it makes and waits for meanwhile.

    Attributes:
        pool: The number of its pool.
        calls: What it calls.
        together: Whether it makes all its calls before it waits for them.
        catches: Whether it goes on when one of them was refused.
    """

    pool: int
    calls: tuple["Call", ...] = ()
    together: bool = False
    catches: bool = False

    def walk(self):
        """Yield this call and all below it."""
        yield self
        for call in self.calls:
            yield from call.walk()


@dataclass
class Nest:
    """The pools, and what has become of the calls, in the order in which they ended.

    Attributes:
        kinds: For each pool: whether it is one of threads, and its limit.
    """

    kinds: list[tuple[bool, int]]
    told: list[tuple[Call, str]] = field(default_factory=list)
    errors: list[WouldDeadlock] = field(default_factory=list)

    def __enter__(self):
        numbers = itertools.count()
        self.pools = [
            ThreadPool(limit, name=f"t{next(numbers)}")
            if threads
            else AsyncPool(limit, name=f"a{next(numbers)}")
            for threads, limit in self.kinds
        ]
        return self

    def __exit__(self, *_):
        for pool in self.pools:
            assert pool.close(20), pool.stats()
            stats = pool.stats()
            assert (stats.in_flight, stats.starting, stats.queued, stats.blocked) == (0, 0, 0, 0)

    def _is_threads(self, call):
        return self.kinds[call.pool][0]

    def submit(self, call):
        """Begin a call from blocking code."""
        body = self._blocking if self._is_threads(call) else self._coroutine
        return self.pools[call.pool].submit(body, call)

    def run(self, call):
        """Begin a call from a coroutine."""
        body = self._blocking if self._is_threads(call) else self._coroutine
        return self.pools[call.pool].run(body, call)

    def _blocking(self, call):
        if call.together:
            futures = [(inner, self.submit(inner)) for inner in call.calls]
            self._settle([(inner, self._outcome(inner, future)) for inner, future in futures], call)
        else:
            for inner in call.calls:
                self._settle([(inner, self._outcome(inner, self.submit(inner)))], call)
        return 1

    def _outcome(self, call, future):
        try:
            return future.result(), self._tell(call)
        except WouldDeadlock as error:
            return error, self._tell(call, error)

    async def _coroutine(self, call):
        if call.together:
            ends = await asyncio.gather(*map(self._await, call.calls))
            self._settle(list(zip(call.calls, ends, strict=True)), call)
        else:
            for inner in call.calls:
                self._settle([(inner, await self._await(inner))], call)
        return 1

    async def _await(self, call):
        try:
            return await self.run(call), self._tell(call)
        except WouldDeadlock as error:
            return error, self._tell(call, error)

    def _tell(self, call, error=None):
        if error is None:
            self.told.append((call, "ran"))
        else:
            self.told.append((call, "refused"))
            self.errors.append(error)

    def _settle(self, ends, call):
        for _, (end, _) in ends:
            if isinstance(end, WouldDeadlock) and not call.catches:
                raise end

    def begin_and_wait(self, roots, *, in_loop):
        """Make the calls of the outside world, from a loop or from blocking code; returns how they ended."""
        if in_loop:

            async def all_of_them():
                return await asyncio.wait_for(asyncio.gather(*map(self._await, roots)), 30)

            return [end for end, _ in asyncio.run(all_of_them())]
        ends = []
        for root, future in [(root, self.submit(root)) for root in roots]:
            try:
                ends.append(future.result(30))
                self._tell(root)
            except WouldDeadlock as error:
                ends.append(error)
                self._tell(root, error)
        return ends


def one_after_the_other(root, kinds):
    """What becomes of each call, in order of its end, if each waits for one call at a time.

    Then it does not depend on who is faster: a call is refused if, and only if, all permits of its pool
    are held by calls that wait, in the end, for it.
    """
    held, told = [0] * len(kinds), []

    def make(call):
        if held[call.pool] == kinds[call.pool][1]:
            told.append((call, "refused"))
            return False
        held[call.pool] += 1
        fine = all(make(inner) or call.catches for inner in call.calls)
        held[call.pool] -= 1
        told.append((call, "ran" if fine else "refused"))
        return fine

    make(root)
    return told


def never_stuck(roots, kinds):
    """Whether each pool has a permit over and above all calls of it that could wait at once."""
    waiting = [0] * len(kinds)
    for root in roots:
        for call in root.walk():
            waiting[call.pool] += bool(call.calls)
    return all(limit > most for (_, limit), most in zip(kinds, waiting, strict=True))
