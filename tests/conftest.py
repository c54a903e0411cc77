"""What every test gets: a check that it leaves nothing behind, and fakes for time."""

import pytest
from hypothesis import HealthCheck, settings

from holdfast.testing.clock import FakeClock
from holdfast.testing.leaks import assert_no_leaks, holdings

settings.register_profile(
    "holdfast",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("holdfast")


@pytest.fixture(autouse=True)
def no_leaks():
    """Fail a test that leaves a thread, a task, a child process or a descriptor behind."""
    before = holdings()
    yield
    assert_no_leaks(before)


@pytest.fixture
def fake_clock():
    """Give a clock that moves when it is told to, in use for all pools made in the test."""
    with FakeClock() as clock:
        yield clock
