"""Names that are imported when they are asked for."""

import errno
import resource

import pytest

from holdfast._core import late_import
from holdfast._core.late_import import import_late


def test_a_name_is_imported():
    """From its module."""
    assert import_late("json", "dumps").__name__ == "dumps"


def test_without_a_descriptor_the_limit_is_raised_for_the_moment(monkeypatch):
    """And is what it was afterwards."""
    limits = []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[0] == before[1]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] - 100, before[1]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def refuses_once(_):
        limits.append(resource.getrlimit(resource.RLIMIT_NOFILE))
        if len(limits) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return errno

    monkeypatch.setattr(late_import, "import_module", refuses_once)
    try:
        assert import_late("errno", "EMFILE") == errno.EMFILE
        assert limits == [(soft, hard), (soft + 8, hard)]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_another_error_of_the_import_passes(monkeypatch):
    """The limit has nothing to do with it."""

    def refuses(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(late_import, "import_module", refuses)
    with pytest.raises(OSError, match="Input/output"):
        import_late("json", "dumps")
