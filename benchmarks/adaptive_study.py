"""How well an adaptive limit follows a server: ``python -m benchmarks.adaptive_study``.

First a simulated server, whose capacity goes from 8 to 40 to 4, on a clock of its own; then a real one on this
machine, over HTTP, that does the same. Beside each phase stands the best fixed limit, found by trying several:
the one with the most throughput.
"""

import argparse
import asyncio
import contextlib
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.simulated_server import (
    Busy,
    Fixed,
    Phase,
    PhaseResult,
    adaptive,
    best_fixed,
    service_times,
    simulate,
)
from holdfast import AsyncPool
from holdfast._core import clock
from holdfast.limits.adaptive import Adaptive
from holdfast.limits.call_window import percentile_of

__all__ = ("main",)

CAPACITIES = (8, 40, 4)
SEEDS = 5
SIMULATED_S = 120.0
REAL_SERVICE_S = 0.03
REAL_SPREADS = (0.0, 0.2)
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760.0, 300.0, 50.0, 34.0, 40.0


# ---------------------------------------------------------------- simulated


def simulated() -> list[str]:
    """Return the table of the simulated server."""
    phases = [Phase(capacity, SIMULATED_S) for capacity in CAPACITIES]
    lines = [
        "| service time, spread | phase | throughput, of the best fixed | p99, of the best fixed |",
        "|---|---|---|---|",
    ]
    kinds = [(mean_s, spread, False) for mean_s in (0.02, 0.05) for spread in (0.05, 0.2, 0.5, 1.0)]
    for mean_s, spread, others in (*kinds, (0.03, 0.0, True)):
        runs = [
            simulate(
                adaptive(Adaptive()),
                phases,
                service_times(mean_s, spread, seed),
                _busy(seed) if others else None,
            ).phases
            for seed in range(SEEDS)
        ]
        name = f"{mean_s * 1e3:.0f} ms, {spread}{', a busy machine' if others else ''}"
        for nth, phase in enumerate(phases):
            service_s = service_times(mean_s, spread, 77)
            best = best_fixed(phase.capacity, SIMULATED_S, service_s, _busy(77) if others else None)
            against = _against(best, [run[nth] for run in runs])
            lines.append(f"| {name} | {phase.capacity} at once | {against} |")
    return lines


def _busy(seed: int) -> Busy:
    """A machine on which the process is held up for longer than a call takes, several times a second."""
    return Busy(each_s=1.5e-4, every_s=0.3, lasts_s=0.04, seed=seed)


def _against(best: PhaseResult, found: Sequence[PhaseResult]) -> str:
    throughput = [one.throughput / best.throughput for one in found]
    p99 = [one.p99_s / best.p99_s for one in found]
    if len(found) == 1:
        return f"{throughput[0]:.2f} | {p99[0]:.2f}"
    return (
        f"{statistics.median(throughput):.2f} ({min(throughput):.2f} at least) | "
        f"{statistics.median(p99):.2f} ({max(p99):.2f} at most)"
    )


# ---------------------------------------------------------------- real


class Server:
    """Answers HTTP on a loopback port; works on ``capacity`` requests at once, the rest waits in order.

    Args:
        service_s: Returns how long the next request takes, in seconds.
    """

    def __init__(self, service_s: Callable[[], float]) -> None:
        self.capacity = 0
        self._service_s = service_s
        self._busy = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for one in tuple(self._serving):  # those whose callers have gone
            await one

    def resize(self, capacity: int) -> None:
        """Work on so many at once from now on."""
        self.capacity = capacity
        self._next()

    def _next(self) -> None:
        while self._waiting and self._busy < self.capacity:
            self._busy += 1
            self._waiting.pop(0).set_result(None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                turn = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                self._next()
                await turn
                await asyncio.sleep(self._service_s())
                self._busy -= 1
                self._next()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        writer.close()


class Connections:
    """Kept-alive connections to the server, as many as there are calls at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, _: int) -> float:
        """One request; returns when it was answered."""
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok")
        except BaseException:
            writer.close()  # its answer is still to come
            raise
        self._free.append((reader, writer))
        return clock.now()

    async def close(self) -> None:
        """Close all of them."""
        for _, writer in self._free:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


Ask = Callable[[int], Awaitable[float]]


async def _phases(
    server: Server, pool: AsyncPool, ask: Ask, capacities: Sequence[int], seconds: float
) -> list[PhaseResult]:
    """More work than can be done, for so long in each phase; a call belongs to the phase in which it ends."""
    took: list[float] = []
    results: list[PhaseResult] = []
    ahead = list(capacities)

    async def timed(n: int) -> None:
        began = clock.now()
        took.append(await ask(n) - began)

    server.resize(ahead.pop(0))
    until = clock.now() + seconds
    async for _ in pool.stream(timed, iter(int, 1), ordered=False):
        if clock.now() < until:
            continue
        results.append(PhaseResult(len(took) / seconds, percentile_of(took, 99.0)))
        took.clear()
        if not ahead:
            break
        server.resize(ahead.pop(0))
        until += seconds
    return results


Found = dict[int, list[PhaseResult]]


async def _fixed_real(server: Server, ask: Ask, seconds: float) -> dict[int, Found]:
    """For each capacity what limits near it make of the server."""
    found: dict[int, Found] = {}
    for capacity in CAPACITIES:
        for limit in (capacity, capacity + 1, capacity + 2):
            async with AsyncPool(limit) as pool:
                results = await _phases(server, pool, ask, (capacity,), seconds)
            found.setdefault(capacity, {})[limit] = results
    return found


def _best_of(before: Found, after: Found) -> PhaseResult:
    """The limit with most throughput before and after: the machine is not equally busy all the time."""
    means: list[PhaseResult] = []
    for limit, results in before.items():
        both = [*results, *after[limit]]
        throughput = statistics.fmean(one.throughput for one in both)
        means.append(PhaseResult(throughput, statistics.fmean(one.p99_s for one in both)))
    return max(means, key=lambda one: one.throughput)


async def real(seconds: float) -> list[str]:
    """Return the table of the real server."""
    lines = [
        "| service time, spread | phase | throughput, of the best fixed | p99, of the best fixed |",
        "|---|---|---|---|",
    ]
    for spread in REAL_SPREADS:
        name = f"{REAL_SERVICE_S * 1e3:.0f} ms, {spread}"
        async with Server(service_times(REAL_SERVICE_S, spread, 0)) as server:
            for capacity, against in zip(CAPACITIES, await _real(server, seconds), strict=True):
                lines.append(f"| {name} | {capacity} at once | {against} |")
    return lines


async def _real(server: Server, seconds: float) -> list[str]:
    """What became of each phase, beside the best fixed limit."""
    connections = Connections(server.port)
    before = await _fixed_real(server, connections.ask, seconds / 6.0)
    async with AsyncPool(limit=Adaptive()) as pool:
        found = await _phases(server, pool, connections.ask, CAPACITIES, seconds)
    after = await _fixed_real(server, connections.ask, seconds / 6.0)
    await connections.close()
    return [
        _against(_best_of(before[capacity], after[capacity]), [one])
        for capacity, one in zip(CAPACITIES, found, strict=True)
    ]


# ---------------------------------------------------------------- the figure


def figure() -> str:
    """Return the figure of the docs as SVG; it is the same each time."""
    phases = [Phase(capacity, 40.0) for capacity in CAPACITIES]
    run = simulate(adaptive(Adaptive()), phases, service_times(0.05, 0.2, 3))
    fixed = simulate(Fixed(20), phases, service_times(0.05, 0.2, 3))
    ends, most = 120.0, 60.0

    def x_of(at: float) -> float:
        return LEFT + at / ends * (WIDTH - LEFT - 16)

    def y_of(value: float) -> float:
        return HEIGHT - BOTTOM - min(value, most) / most * (HEIGHT - TOP - BOTTOM)

    steps = [(0.0, run.limits[0][1])]
    for at, limit in run.limits:
        steps += [(at, steps[-1][1]), (at, limit)]
    steps.append((ends, steps[-1][1]))
    limit_line = " ".join(f"{x_of(at):.1f},{y_of(limit):.1f}" for at, limit in steps)
    parts = [
        (
            f'<text x="{LEFT}" y="18" font-weight="600">'
            "The limit of a pool, while the server's capacity changes (simulated, 50 ms a call)</text>"
        )
    ]
    for nth, phase in enumerate(phases):
        begin, end = x_of(nth * 40.0), x_of(nth * 40.0 + 40.0)
        y = y_of(phase.capacity)
        slow = fixed.phases[nth].p99_s / run.phases[nth].p99_s
        parts += [
            (
                f'<rect x="{begin:.1f}" y="{y:.1f}" width="{end - begin:.1f}" '
                f'height="{y_of(0) - y:.1f}" fill="#2f855a" fill-opacity="0.14"/>'
            ),
            (
                f'<text x="{begin + 6:.1f}" y="{y_of(0) - 6:.1f}" fill="#2f855a">'
                f"works on {phase.capacity}</text>"
            ),
            (
                f'<text x="{begin + 6:.1f}" y="{TOP + 12:.1f}" fill="#7b8794">'
                f"p99 {run.phases[nth].p99_s * 1e3:.0f} ms; with a fixed 20: x {slow:.1f}</text>"
            ),
        ]
    parts.append(
        f'<polyline points="{limit_line}" fill="none" stroke="#2b6cb0" stroke-width="1.6"/>'
    )
    for value in (0, 20, 40, 60):
        parts.append(
            f'<text x="{LEFT - 8}" y="{y_of(value) + 4:.1f}" text-anchor="end" '
            f'fill="#7b8794">{value}</text>'
        )
    for at in range(0, 121, 20):
        parts.append(
            f'<text x="{x_of(at):.1f}" y="{HEIGHT - 20:.1f}" text-anchor="middle" '
            f'fill="#7b8794">{at} s</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1f2933">\n'
        f'<rect width="{WIDTH:.0f}" height="{HEIGHT:.0f}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> int:
    """Print the tables, or write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a real phase")
    parser.add_argument("--simulated", action="store_true", help="no real server")
    parser.add_argument("--figure", metavar="FILE", help="write the figure, and nothing else")
    options = parser.parse_args()
    if options.figure:
        Path(options.figure).write_text(figure())
        return 0
    print("\n".join(f"{name}: {said}" for name, said in machine.describe().items()))
    print("\n### A simulated server\n", *simulated(), sep="\n")
    if not options.simulated:
        print(
            "\n### A real server on this machine\n", *asyncio.run(real(options.seconds)), sep="\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
