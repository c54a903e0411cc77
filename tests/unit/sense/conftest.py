"""A tree of fake files, and no descriptor kept beyond a test."""

import pytest
from tests.unit.sense.tree import Tree

from holdfast.sense import release


@pytest.fixture(autouse=True)
def no_kept_descriptors():
    """Close what ``sample`` keeps open, so that it is not taken for a leak."""
    yield
    release()


@pytest.fixture
def tree(tmp_path):
    """A process of user 1000 on a quiet machine, in no control group."""
    made = Tree(tmp_path)
    made.process()
    made.machine()
    return made
