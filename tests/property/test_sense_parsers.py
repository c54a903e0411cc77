"""The parsers of ``holdfast.sense`` take whatever a kernel may write; the tightest bound is the least."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from holdfast.sense import Reading, narrowest, readings, tightest
from holdfast.sense._rlimits import parse_rlimits
from holdfast.sense._words import hexadecimal, number, whole
from holdfast.sense.cgroup import parse_membership, parse_mounts
from holdfast.sense.cpus import parse_cpu_list
from holdfast.sense.descriptor_kinds import open_descriptors
from holdfast.sense.pressure import parse_pressure
from holdfast.sense.sockets import parse_inet, parse_unix

WORDS = st.sampled_from(
    [
        "0", "-1", "7", "max", "unlimited", "9" * 40, "²", "0x1F", "some", "full", "avg10=1.5",
        "avg60=0", "avg300=nan", "total=5", "0::/a", "3:pids:/b/c", "::", "/", "/..", "-", "cgroup2",
        "cgroup", "rw,pids", "\\040", "\\999", "0100007F:1F90", "00000000:0000", "01", "0A", "Uid:",
        "Threads:", "MemTotal:", "Max open files", "1-2", "0-4294967295", ":", "=", "",
    ]
)  # fmt: skip
# Lines of what the kernel does write, in no order, and lines of anything.
LINES = st.one_of(st.lists(WORDS, max_size=14).map(" ".join), st.text(max_size=60))
TEXTS = st.lists(LINES, max_size=6).map("\n".join)

BOUNDS = st.one_of(st.none(), st.integers(0, 10_000))
READINGS = st.builds(
    Reading,
    name=st.just("threads"),
    value=BOUNDS,
    unit=st.just("threads"),
    bound=BOUNDS,
    source=st.sampled_from(["a", "b", "c"]),
    scope=st.sampled_from(["process", "cgroup /a", "machine"]),
)


@pytest.mark.parametrize(
    "parse",
    [
        number,
        whole,
        hexadecimal,
        parse_membership,
        parse_mounts,
        parse_cpu_list,
        parse_pressure,
        parse_rlimits,
        pytest.param(lambda text: list(parse_unix(text, range(100))), id="parse_unix"),
        pytest.param(lambda text: list(parse_inet(text, "tcp", range(100))), id="parse_tcp"),
        pytest.param(lambda text: list(parse_inet(text, "udp6", range(100))), id="parse_udp6"),
    ],
)
@given(text=TEXTS)
def test_no_text_makes_a_parser_fail(parse, text):
    """A line that is of another form is left out."""
    parse(text)


@given(st.integers(-(10**29), 10**29))
def test_a_whole_number_is_read_as_it_is_written(value):
    """With its sign."""
    assert whole(str(value)) == number(f"{value} and more\n") == value


@given(st.text(max_size=5))
def test_what_is_read_as_a_number_was_one(text):
    """Nothing that only Python takes for a number: underscores, other digits, blanks."""
    value = whole(text)

    if value is not None:
        assert set(text) <= set("-0123456789")
        assert int(text) == value


@given(st.sets(st.integers(0, 300)))
def test_a_list_of_cpus_has_those_that_it_names(cpus):
    """Singly, or in ranges."""
    singly = ",".join(map(str, sorted(cpus)))
    in_ranges = ",".join(f"{cpu}-{cpu}" for cpu in sorted(cpus))

    assert parse_cpu_list(singly) == parse_cpu_list(in_ranges) == cpus


FILES = [
    "/proc/self/status",
    "/proc/self/limits",
    "/proc/self/statm",
    "/proc/self/stat",
    "/proc/self/maps",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/self/uid_map",
    "/proc/self/task/1/children",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/fs/file-nr",
    "/proc/sys/vm/max_map_count",
    "/sys/devices/system/cpu/online",
    "/sys/fs/cgroup/pids.max",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory.stat",
    "/sys/fs/cgroup/cpu.max",
]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(texts=st.dictionaries(st.sampled_from(FILES), TEXTS, min_size=1))
def test_no_machine_makes_the_readers_fail(tmp_path_factory, texts):
    """Files may be missing or hold anything; a figure that is not there says why."""
    root = tmp_path_factory.mktemp("root")
    for path, text in {"/proc/self/fd/x": "", **texts}.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="replace")

    found = readings(root=str(root))
    opened = open_descriptors(root=str(root))

    assert [each for each in found if each.value is None and not each.note] == []
    assert opened == ()


@given(st.lists(READINGS))
def test_nothing_has_less_left_than_the_tightest(many):
    """Of all that have a bound."""
    bounded = [each for each in many if each.bound is not None]

    found = tightest(many)

    assert (found is None) == (not bounded)
    if found is not None:
        least = min(max(each.bound - (each.value or 0), 0) for each in bounded)
        assert max(found.bound - (found.value or 0), 0) == least


@given(own=st.integers(0, 10_000), many=st.lists(READINGS))
def test_no_constraint_allows_less_than_what_is_said_to_be_left(own, many):
    """The process may take exactly what the tightest constraint leaves it."""
    many = [replace(each, value=own) if each.scope == "process" else each for each in many]
    bounded = [each for each in many if each.bound is not None]

    found = narrowest(Reading("threads", own, "threads"), many)

    assert found.value == own
    assert found.left == min(
        (max(each.bound - max(each.value or 0, own), 0) for each in bounded), default=None
    )
