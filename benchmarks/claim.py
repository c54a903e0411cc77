"""What a benchmark file declares: a claim, the cases that show it, and who is compared in each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.meter import Meter

__all__ = ("Case", "Claim", "Variant")

Run = Callable[..., Awaitable[None] | None]
"""``run(meter, n)``: make ready, do ``n`` items inside ``with meter.measure()``, clean up."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do a case's work."""

    name: str
    run: Run
    ours: bool
    options: dict[str, Any]

    def __call__(self, meter: Meter, n: int) -> Awaitable[None] | None:
        """Run it once."""
        return self.run(meter, n, **self.options)


@dataclass(slots=True)
class Case:
    """One piece of work, done by each variant in turn.

    Attributes:
        name: For the command line, the targets and the JSON.
        title: What is done, in words.
        n: How many items in a full run.
        quick_n: How many in a quick one; 0 leaves the case out.
        unit: What one of the ``n`` is called.
        repeats: Measured runs in each process, of which the median counts.
        most_rounds: Fewer rounds than asked for, where one takes long; None is as many as asked.
        warm_n: Items of the run that comes first and is not measured.
        watch_loop: Measure by how much the event loop is late.
        one_core: Keep all threads of a run on one core.
        compared: The figure that the table's ratios are made of.
        needs_bytes: Memory that must be free; the case is left out where it isn't.
    """

    name: str
    title: str
    n: int
    quick_n: int
    unit: str = "item"
    repeats: int = 1
    most_rounds: int | None = None
    warm_n: int = 500
    watch_loop: bool = False
    one_core: bool = False
    compared: str = "each_cpu_s"
    needs_bytes: int = 0
    variants: dict[str, Variant] = field(default_factory=dict[str, Variant])

    def add(self, name: str, run: Run, *, ours: bool = False, **options: Any) -> None:
        """Compare one more variant; ``options`` are passed on to ``run``."""
        self.variants[name] = Variant(name, run, ours, options)

    @property
    def reference(self) -> str:
        """The variant that ratios are relative to: our first."""
        return next(variant.name for variant in self.variants.values() if variant.ours)


@dataclass(slots=True)
class Claim:
    """One thing that holdfast says of itself, with the cases that show whether it is so.

    Attributes:
        name: ``bench_<name>.py`` holds it.
        says: The claim, in one sentence.
        appendix: Called once after the runs; its lines stand below the claim's tables.
    """

    name: str
    says: str
    appendix: Callable[[], list[str]] | None = None
    cases: dict[str, Case] = field(default_factory=dict[str, Case])

    def case(self, name: str, title: str, *, n: int, quick_n: int, **options: Any) -> Case:
        """Declare a case; see :class:`Case` for the options."""
        case = self.cases[name] = Case(name, title, n, quick_n, **options)
        return case
