"""What a look means: from which number on, with whom, and how bad."""

import pytest
from tests.unit.watch.looks import GB, a_look, bounds

from holdfast.sense.descriptor_kinds import Descriptor
from holdfast.sense.pressure import Pressure, Stall
from holdfast.sense.process_tree import ProcessState
from holdfast.sense.reading import Reading
from holdfast.sense.sockets import Socket
from holdfast.sense.thread_list import ThreadState
from holdfast.watch.audit import Audit, findings


def sockets(count, state, *, local="10.0.0.1:{n}", peer="10.0.0.9:443", first=10):
    """So many, each with its own number in the addresses."""
    return tuple(
        Descriptor(
            n,
            "socket",
            f"socket:[{n}]",
            Socket("tcp", state, local.format(n=n), peer.format(n=n)),
        )
        for n in range(first, first + count)
    )


def of_kind(count, kind, target="x{n}", first=10):
    """So many descriptors of one kind."""
    return tuple(Descriptor(n, kind, target.format(n=n)) for n in range(first, first + count))


def found(look):
    """Severity and evidence by code."""
    return {each.code: (each.severity, each.evidence) for each in findings(look)}


def test_a_process_that_holds_little_has_no_findings():
    """And is healthy."""
    look = a_look()

    assert findings(look) == ()
    assert Audit(look, findings(look)).healthy


@pytest.mark.parametrize(
    ("count", "confirmed", "severity"),
    [(9, True, "note"), (10, True, "warning"), (99, False, "note"), (100, False, "warning")],
)
def test_half_closed_connections_are_a_warning_when_they_stay(count, confirmed, severity):
    """At one look alone only when there are very many; the peer is named."""
    held = sockets(count, "CLOSE_WAIT")
    lasting = frozenset(each.target for each in held) if confirmed else None

    told = found(a_look(descriptors=held, lasting=lasting))

    assert told == {"close-wait": (severity, (f"10.0.0.9:443 ({count})",))}


def test_what_was_only_passing_is_no_finding():
    """A second look did not see it any more."""
    assert found(a_look(descriptors=sockets(500, "CLOSE_WAIT"), lasting=frozenset())) == {}


def test_half_closed_connections_that_were_accepted_are_told_by_the_own_address():
    """Each has another peer; the socket that listens shows whose they are."""
    held = sockets(20, "CLOSE_WAIT", local="10.0.0.1:80", peer="10.0.0.{n}:5000")
    listening = sockets(1, "LISTEN", local="0.0.0.0:80", peer="", first=500)

    for both in (held, held + listening):
        lasting = frozenset(each.target for each in both)
        (finding,) = findings(a_look(descriptors=both, lasting=lasting))
        assert finding.evidence == ("clients of 10.0.0.1:80 (20)",)
        assert "clients have left" in finding.means


@pytest.mark.parametrize(("count", "severity"), [(49, None), (50, "note"), (200, "warning")])
def test_many_connections_to_one_peer(count, severity):
    """A pool of some dozens is usual."""
    told = found(a_look(descriptors=sockets(count, "ESTABLISHED")))

    assert told.get("connections-to-one-peer", (None,))[0] == severity


def test_many_clients_of_a_server_are_no_finding():
    """However many there are: that is its work."""
    held = sockets(5000, "ESTABLISHED", local="10.0.0.1:80", peer="10.0.0.2:{n}")

    assert found(a_look(descriptors=held)) == {}


def test_connections_that_nobody_answers_are_told_when_they_stay():
    """With the peer."""
    held = sockets(20, "SYN_SENT")
    lasting = frozenset(each.target for each in held)

    assert found(a_look(descriptors=held, lasting=lasting))["unanswered"] == (
        "warning",
        ("10.0.0.9:443 (20)",),
    )
    assert found(a_look(descriptors=held[:19], lasting=lasting)) == {}


@pytest.mark.parametrize(("count", "severity"), [(10, None), (11, "note"), (21, "warning")])
@pytest.mark.parametrize("beside", [False, True])
def test_connections_to_one_database(count, severity, beside):
    """Told by the ending, or by the files beside it; those do not count as files."""
    path = "/data/sessions" if beside else "/data/sessions.db"
    held = of_kind(count, "file", path)
    if beside:
        held += of_kind(count, "file", f"{path}-wal", first=100)

    told = found(a_look(descriptors=held))

    assert told == ({"sqlite-connections": (severity, (f"{path} ({count})",))} if severity else {})


def test_one_log_with_many_handlers():
    """From five on; the standard streams do not count."""
    held = of_kind(5, "file", "/var/log/agent.log")
    appending = frozenset(each.fd for each in held)

    assert found(a_look(descriptors=held, appending=appending)) == {
        "duplicated-log": ("warning", ("/var/log/agent.log (5)",))
    }
    few = of_kind(7, "file", "/var/log/agent.log", first=0)[:7]
    assert found(a_look(descriptors=few, appending=frozenset(range(7)))) == {}


@pytest.mark.parametrize(("count", "severity"), [(19, None), (20, "note"), (50, "warning")])
def test_one_file_that_is_read_many_times(count, severity):
    """A server may well send one file to several clients."""
    told = found(a_look(descriptors=of_kind(count, "file", "/srv/page.html")))

    assert told.get("same-file", (None,))[0] == severity


@pytest.mark.parametrize(("count", "severity"), [(99, None), (100, "note"), (256, "warning")])
def test_many_files_are_told_by_ending_and_folder(count, severity):
    """So that one sees what they are."""
    told = found(a_look(descriptors=of_kind(count, "file", "/data/{n}.csv")))

    expected = (severity, (f".csv ({count})", f"/data ({count})"))
    assert told == ({"many-files": expected} if severity else {})


def test_deleted_files_are_told_by_number_or_size():
    """One of a gigabyte is as bad as fifty."""
    small = tuple(Descriptor(n, "deleted file", f"/scratch/#{n}", size_bytes=5) for n in range(60))
    large = (Descriptor(9, "deleted file", "/var/log/agent.log", size_bytes=2 * GB),)

    assert found(a_look(descriptors=small))["deleted-files"] == ("warning", ("/scratch/#N (60)",))
    assert found(a_look(descriptors=large))["deleted-files"][0] == "warning"
    assert found(a_look(descriptors=small[:12]))["deleted-files"][0] == "note"
    assert found(a_look(descriptors=small[:5])) == {}


def test_pipes_without_children_are_those_of_tools_that_have_ended():
    """With living children at their ends they are in use."""
    held = of_kind(60, "pipe", "pipe:[{n}]")
    children = tuple(ProcessState(n, 4711, "tool", f"tool {n}", "S", depth=1) for n in range(20))

    assert found(a_look(descriptors=held))["pipes"][0] == "warning"
    assert found(a_look(descriptors=held[:20]))["pipes"][0] == "note"
    assert found(a_look(descriptors=held, children=children)) == {}


def test_pipes_with_both_ends_here_are_queues():
    """They lead to nobody else."""
    held = of_kind(60, "pipe", "pipe:[{n}]") + tuple(
        Descriptor(each.fd + 1000, "pipe", each.target)
        for each in of_kind(60, "pipe", "pipe:[{n}]")
    )

    assert found(a_look(descriptors=held)) == {"own-pipes": ("warning", ())}


@pytest.mark.parametrize(
    ("kind", "count", "code"),
    [
        ("epoll", 30, "event-loops"),
        ("eventfd", 200, "many-eventfd"),
        ("inotify", 32, "many-inotify"),
        ("directory", 64, "many-directory"),
        ("memfd", 100, "many-memfd"),
    ],
)
def test_many_of_another_kind(kind, count, code):
    """One less is none, or a note."""
    assert found(a_look(descriptors=of_kind(count, kind)))[code][0] == "warning"
    less = found(a_look(descriptors=of_kind(count - 1, kind)))
    assert less.get(code, ("note",))[0] == "note"


def threads(count, name="worker-{n}", state="S", waits="a lock"):
    """So many threads."""
    return tuple(ThreadState(n, name.format(n=n), state, waits) for n in range(count))


def test_many_threads_are_told_by_name_and_by_what_they_wait_in():
    """Against the CPUs that there are."""
    assert found(a_look(threads=threads(63))) == {}
    assert found(a_look(threads=threads(64)))["many-threads"][0] == "note"
    assert found(a_look(threads=threads(200)))["many-threads"] == ("warning", ("worker-N (200)",))
    assert found(a_look(threads=threads(200), bounds=bounds(cpus=128)))["many-threads"][0] == "note"
    (finding,) = findings(a_look(threads=threads(300)))
    assert "300 threads; 300 of them wait for a lock" in finding.what


def test_threads_of_many_nameless_pools_are_a_pool_for_each_call():
    """The standard library numbers its pools."""
    told = found(a_look(threads=threads(20, "ThreadPoolExecutor-{n}_0")))

    assert told["pool-per-call"][0] == "warning"
    one = tuple(ThreadState(n, f"ThreadPoolExecutor-0_{n}") for n in range(40))
    assert found(a_look(threads=one)) == {}


def test_zombies_are_a_warning_when_they_stay():
    """One that was just left is nothing to speak of loudly."""
    dead = tuple(ProcessState(n, 4711, "git", "", "Z", depth=1) for n in range(5))
    lasting = frozenset(f"zombie {each.pid}" for each in dead)

    assert found(a_look(children=dead, lasting=lasting)) == {"zombies": ("warning", ("git (5)",))}
    assert found(a_look(children=dead))["zombies"][0] == "note"
    assert found(a_look(children=dead[:1], lasting=lasting))["zombies"][0] == "note"


def test_threads_that_a_disk_keeps_are_told_when_they_stay():
    """The file server does not answer."""
    stuck = threads(4, state="D", waits="a read")
    lasting = frozenset(f"disk {each.tid}" for each in stuck)

    assert found(a_look(threads=stuck, lasting=lasting))["waiting-for-disk"][0] == "warning"
    assert found(a_look(threads=stuck)) == {}


def test_a_stopped_process_is_told():
    """With how to let it go on."""
    process = ProcessState(4711, 1, "python", "python agent.py", "T")
    (finding,) = findings(a_look(process=process))

    assert finding.code == "stopped"
    assert "kill -CONT 4711" in finding.do


@pytest.mark.parametrize(
    ("held", "severity"), [(799, None), (800, "warning"), (900, "critical"), (1000, "critical")]
)
def test_a_limit_that_is_nearly_used_up(held, severity):
    """With what holds it."""
    look = a_look(
        bounds=bounds(descriptors=(held, 1000)),
        descriptors=of_kind(5, "eventfd"),
        hard_descriptors=1000,
    )

    told = found(look)

    expected = {"descriptors-nearly-used-up": (severity, ("eventfd (5)",))} if severity else {}
    assert told == expected


def test_threads_that_are_nearly_used_up_are_told_by_name():
    """As descriptors are by kind."""
    told = found(a_look(bounds=bounds(threads=(95, 100)), threads=threads(3)))

    assert told == {"threads-nearly-used-up": ("critical", ("worker-N (3)",))}


def test_the_worst_comes_first():
    """Whatever order the rules have."""
    look = a_look(
        bounds=bounds(descriptors=(999, 1000)),
        threads=threads(300),
        descriptors=of_kind(100, "file", "/data/{n}.csv"),
    )

    assert [each.severity for each in findings(look)] == ["critical", "warning", "note", "note"]


def test_memory_that_others_hold_is_a_note():
    """This program has not used it up; where it has, the kernel will end it."""
    group = Reading("memory", 950 << 20, "bytes", 1000 << 20, "memory.max", "cgroup /a")
    full = Reading("memory", 15 * GB, "bytes", 16 * GB, "the machine's memory", "machine")

    assert found(a_look(memory=(full,)))["memory-nearly-used-up"][0] == "note"
    assert found(a_look(memory=(group,)))["memory-nearly-used-up"][0] == "critical"


def test_a_group_that_stands_still_for_want_of_memory():
    """Ten per cent of the last minute; that of the machine is not this program's."""
    stall = Stall(0.0, 12.0, 5.0, 100.0)
    own = Pressure("memory", "cgroup /a", stall, stall)
    machine = Pressure("memory", "machine", stall, stall)

    assert found(a_look(pressure=(own, machine))).keys() == {"memory-stall"}
    assert found(a_look(pressure=(machine,))) == {}


def test_a_low_limit_that_could_be_raised_is_a_note():
    """If the hard limit allows it."""
    low = bounds(descriptors=(50, 1024))

    assert found(a_look(bounds=low, hard_descriptors=4096)).keys() == {"low-descriptor-limit"}
    assert found(a_look(bounds=low, hard_descriptors=1024)) == {}
