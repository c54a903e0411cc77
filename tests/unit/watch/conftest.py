"""What tests of this room share."""

import pytest

from holdfast.pools import _living


@pytest.fixture(autouse=True)
def no_pools_of_other_tests(monkeypatch):
    """A pool that another test has left to the collector is none that a snapshot here shows."""
    monkeypatch.setattr(_living._REGISTER, "pools", {})
