"""How large a pool should be on this machine."""

from holdfast.pools.budget import Budget, current_budget, set_budget
from holdfast.sense.cpus import usable_cpus
from holdfast.watch.recommend import recommend, this_machine


def test_the_machine_is_what_the_budget_and_the_cpus_say():
    """Nothing is guessed."""
    machine = this_machine()

    assert machine.cpus == usable_cpus()
    assert machine.threads == current_budget().threads


def test_a_smaller_budget_makes_smaller_pools():
    """Set by hand, it is kept to."""
    before = set_budget(Budget(threads=3, processes=1, descriptors=10, memory_bytes=1 << 30))
    try:
        assert recommend("db", connections=20).size == 3
        assert recommend("llm", rate=100, response_s=10).size == 5
    finally:
        set_budget(before)
