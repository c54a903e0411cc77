"""The storm of cancellations in small: what ``python -m tests.race.cancellation_storm`` does for minutes."""

import sys

import pytest
from tests.race.cancellation_wave import Wave

pytestmark = pytest.mark.race


@pytest.fixture(params=[0.005, 1e-6], ids=["usual turns", "short turns"])
def switch_interval(request):
    """How long a thread may keep the interpreter; a millionth of a second brings threads together."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switch_interval")
@pytest.mark.parametrize("seed", range(6))
def test_a_storm_of_cancellations_leaves_no_call_unaccounted_for(seed):
    """2,000 calls on two pools, from four loops and two threads, cancelled at every moment or never."""
    wave = Wave(seed, 2000)

    wave.run()

    assert wave.faults == []
    assert len(wave.told) == 2000
