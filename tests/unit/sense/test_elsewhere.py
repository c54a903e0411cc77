"""What can be read where there is no ``/proc``: with psutil, and without."""

import importlib
import os
import socket
import threading

import pytest

from holdfast.sense import (
    _elsewhere,
    _elsewhere_kinds,
    _process,
    _psutil,
    bounds,
    descriptor_bound,
    descriptors_by_kind,
    memory_readings,
    open_descriptors,
    process_bound,
    pss_bytes,
    readings,
    thread_bound,
    usable_cpus,
)

OTHER = 1
NOBODY = 2**22 + 1


@pytest.fixture
def elsewhere(monkeypatch):
    """Not Linux."""
    monkeypatch.setattr(_process, "LINUX", False)


@pytest.fixture
def without(monkeypatch, elsewhere):
    """Not Linux, and no psutil."""
    monkeypatch.setattr(_psutil, "psutil", lambda: None)
    monkeypatch.setattr(_elsewhere, "psutil", lambda: None)


@pytest.fixture
def installed(elsewhere):
    """Not Linux, but psutil."""
    return pytest.importorskip("psutil")


def test_without_psutil_this_process_is_read_as_far_as_python_goes(without):
    """Threads that Python knows of, descriptors by listing, the peak of memory, all CPUs."""
    found = bounds()

    assert found.threads.value == threading.active_count()
    assert "psutil counts all" in found.threads.note
    assert found.descriptors.value == len(os.listdir("/dev/fd")) - 1
    assert found.descriptors.source == "soft RLIMIT_NOFILE"
    assert memory_readings()[0].value > 0
    assert "the peak" in memory_readings()[0].note
    assert usable_cpus() == os.cpu_count()


def test_without_psutil_another_process_is_not_available(without):
    """Every figure is None and says how to get it; nothing raises."""
    for bound in (thread_bound, process_bound, descriptor_bound):
        reading = bound(OTHER)

        assert reading.value is None
        assert reading.note == "not available here without psutil: pip install 'holdfast[sense]'"
    assert memory_readings(OTHER)[0].value is None


def test_without_psutil_every_missing_figure_says_why(without):
    """None without a word would look like a mistake."""
    assert [each for each in readings() if each.value is None and not each.note] == []


def test_without_psutil_the_kinds_of_ones_own_descriptors_are_known(without, tmp_path):
    """By their type alone."""
    one, other = socket.socketpair()
    folder = os.open(tmp_path, os.O_RDONLY)
    made = {one.fileno(): "socket", other.fileno(): "socket", folder: "directory"}

    found = {each.fd: each.kind for each in open_descriptors() if each.fd in made}
    one.close()
    other.close()
    os.close(folder)

    assert found == made


def test_without_psutil_the_kinds_of_anothers_descriptors_are_an_error(without):
    """That says what to install."""
    with pytest.raises(NotImplementedError, match=r"holdfast\[sense\]"):
        open_descriptors(OTHER)


def test_proportional_memory_is_told_by_linux_alone(elsewhere):
    """With or without psutil."""
    assert "only Linux" in pss_bytes().note


def test_psutil_reads_this_process(installed):
    """All of its threads."""
    assert thread_bound().value >= threading.active_count()
    assert _elsewhere.figures()[0] == len(os.listdir("/dev/fd")) - 1


def test_psutil_knows_the_paths_and_the_peers(installed, tmp_path):
    """What it does not know has its type."""
    path = tmp_path / "notes"
    with (
        path.open("w") as file,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        reading, writing = os.pipe()
        found = {each.fd: each for each in open_descriptors()}
        counted = descriptors_by_kind()
        os.close(reading)
        os.close(writing)

        assert found[file.fileno()].target == str(path)
        assert found[server.fileno()].socket.state == "LISTEN"
        assert found[client.fileno()].socket.peer == f"127.0.0.1:{server.getsockname()[1]}"
        assert found[reading].kind == "pipe"
    assert counted.total == len(found)


def test_a_process_that_has_ended_is_an_error(installed):
    """As on Linux."""
    with pytest.raises(ProcessLookupError, match=str(NOBODY)):
        thread_bound(NOBODY)


def test_a_refusal_of_psutil_says_what_to_do(installed, monkeypatch):
    """It is the system's."""

    def refuse(_):
        raise installed.AccessDenied(1)

    with pytest.raises(PermissionError, match="run as that user or as root"):
        _psutil.ask(_process.Process(), refuse)


def test_psutil_that_is_not_installed_is_none(monkeypatch):
    """Whoever asks goes on without."""

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)

    assert _psutil.psutil() is None


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ((), ""),
        ("", ""),
        ("/run/a", "/run/a"),
        (("::1", 80), "[::1]:80"),
        (("1.2.3.4", 5), "1.2.3.4:5"),
    ],
)
def test_addresses_are_told_as_on_linux(address, told):
    """A pair, or a path."""
    assert _elsewhere_kinds._address(address) == told
