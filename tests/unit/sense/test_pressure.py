"""``holdfast.sense.pressure``: for how much of the time tasks stood still."""

import pytest

from holdfast.sense import Pressure, Stall, pressure_readings, read_pressure
from holdfast.sense.pressure import parse_pressure

TEXT = "some avg10=1.50 avg60=0.25 avg300=0.05 total=2500000\nfull avg10=0.50 avg60=0.10 avg300=0.00 total=1000000"
SOME, FULL = Stall(1.5, 0.25, 0.05, 2.5), Stall(0.5, 0.1, 0.0, 1.0)


def test_the_group_comes_first_then_the_machine(tree):
    """The group's is nearer to the cause."""
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", memory__pressure=TEXT)
    tree.write("/proc/pressure/memory", TEXT)

    assert read_pressure(root=tree.root) == (
        Pressure("memory", "cgroup /box", SOME, FULL),
        Pressure("memory", "machine", SOME, FULL),
    )


def test_a_line_that_is_missing_is_none(tree):
    """Older kernels tell no full pressure on the CPU."""
    tree.write("/proc/pressure/cpu", TEXT.splitlines()[0])

    (cpu,) = read_pressure(root=tree.root)

    assert (cpu.some, cpu.full) == (SOME, None)


def test_readings_are_per_cent_of_the_last_ten_seconds(tree):
    """All of the time is the bound."""
    tree.write("/proc/pressure/io", TEXT)

    some, full = pressure_readings(root=tree.root)

    assert (some.name, some.value, some.bound, some.scope) == (
        "io pressure, some",
        1.5,
        100,
        "machine",
    )
    assert (full.name, full.value) == ("io pressure, full", 0.5)


def test_a_kernel_that_does_not_tell_is_told(tree):
    """With what may have turned it off."""
    (nothing,) = pressure_readings(root=tree.root)

    assert nothing.value is None
    assert "psi=0" in nothing.note


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some",
        "some avg10=1.0",
        "some avg10=x avg60=0 avg300=0 total=0",
        "some avg10=-1 avg60=0 avg300=0 total=0",
        "some avg10=1e9 avg60=0 avg300=0 total=0",
        "some avg10=inf avg60=0 avg300=0 total=0",
        "most avg10=0 avg60=0 avg300=0 total=0",
    ],
)
def test_a_line_of_another_form_is_none(text):
    """Nothing is guessed."""
    assert parse_pressure(text) == (None, None)
