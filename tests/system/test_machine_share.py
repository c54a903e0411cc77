"""One limit of the machine, divided among real processes that come, go, and are killed."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from holdfast.watch.machine_share import MachineShare, share_folder

pytestmark = pytest.mark.system

MEMBER = """
import sys
from pathlib import Path
from holdfast.watch.machine_share import MachineShare

share = MachineShare(Path(sys.argv[1]))
for line in sys.stdin:
    total, wanted, held = map(int, line.split())
    print(share.look(total=total, wanted=wanted, held=lambda _: held), flush=True)
share.close()
"""


def using(held):
    """What a process says that uses so much, whatever there is for it."""
    return lambda _: held


class Other:
    """Another process that shares."""

    def __init__(self, folder):
        self.process = subprocess.Popen(  # noqa: S603 - a program of our own
            [sys.executable, "-c", MEMBER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def look(self, total, wanted, held=0):
        self.process.stdin.write(f"{total} {wanted} {held}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def share(tmp_path):
    """This process's share."""
    one = MachineShare(tmp_path)
    yield one
    one.close()


@pytest.fixture
def others(tmp_path):
    """Two more processes."""
    two = [Other(tmp_path), Other(tmp_path)]
    yield two
    for other in two:
        if other.process.poll() is None:
            other.end()


def test_one_alone_has_all_that_it_wants(share):
    """Nobody else is there to leave anything to."""
    assert share.look(total=100, wanted=80, held=using(0)) == 80
    assert share.look(total=100, wanted=300, held=using(0)) == 100


def test_three_have_a_third_each(share, others):
    """As soon as those who had more have given way."""
    assert share.look(total=90, wanted=200, held=using(0)) == 90
    assert others[0].look(90, 200) == 0
    assert others[1].look(90, 200) == 0

    assert share.look(total=90, wanted=200, held=using(20)) == 30
    assert [other.look(90, 200) for other in others] == [30, 30]


def test_what_does_not_divide_is_one_members_and_all_agree_whose(share, others):
    """Nobody is left with less than the others but for that one."""
    for _ in range(3):
        grants = [
            share.look(total=49, wanted=24, held=using(0)),
            *(each.look(49, 24) for each in others),
        ]

    assert sorted(grants) == [16, 16, 17]


def test_who_still_uses_what_is_not_his_keeps_it_until_his_work_has_ended(share, others):
    """And nobody takes it meanwhile."""
    share.look(total=90, wanted=200, held=using(0))
    others[0].look(90, 200)

    assert share.look(total=90, wanted=200, held=using(70)) == 70
    assert others[0].look(90, 200) == 20
    assert share.look(total=90, wanted=200, held=using(40)) == 45
    assert others[0].look(90, 200) == 45


def test_who_takes_more_while_it_looks_is_granted_that_and_nobody_else(share, others):
    """It says what it uses when it knows what there is for it, and while the others can't look."""
    share.look(total=60, wanted=60, held=using(60))
    others[0].look(60, 60)
    told = []

    def held(there_is):
        told.append(there_is)
        return 45  # of which it had fewer a moment before

    assert share.look(total=60, wanted=60, held=held) == 45
    assert told == [30]
    assert others[0].look(60, 60) == 15


def test_a_killed_process_gives_its_share_back(share, others):
    """At the others' next look, and its file is gone."""
    assert others[1].look(60, 0) == 0
    assert others[0].look(60, 100) == 60
    assert share.look(total=60, wanted=100, held=using(0)) == 0

    others[0].kill()

    assert share.look(total=60, wanted=100, held=using(0)) == 60
    assert [member.pid for member in share.members()] == [others[1].process.pid]


def test_who_leaves_gives_its_share_back(share, others):
    """At once."""
    others[0].look(60, 100)
    others[0].end()

    assert share.look(total=60, wanted=100, held=using(0)) == 60


def test_a_child_after_a_fork_has_no_share_and_does_not_keep_its_parents_alive(tmp_path, share):
    """Otherwise a forked worker would hold what its dead parent had."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        signal.alarm(20)
        mine = MachineShare(tmp_path)
        mine.look(total=60, wanted=60, held=using(0))
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os.write(writing, b"%d" % os.getpid())
            signal.pause()
        signal.pause()
    child = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    assert share.look(total=60, wanted=60, held=using(0)) == 0

    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    try:
        assert share.look(total=60, wanted=60, held=using(0)) == 60
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_file_that_is_not_ours_is_left_alone(tmp_path, share):
    """Somebody may have put anything there."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "odd-x.member").write_text("{")

    assert share.look(total=10, wanted=10, held=using(0)) == 10
    assert (tmp_path / "notes.txt").exists()


def test_a_closed_share_can_be_closed_again(tmp_path):
    """And leaves no file but the gate."""
    one = MachineShare(tmp_path)
    one.close()
    one.close()

    assert [path.name for path in tmp_path.iterdir()] == ["gate"]


def test_the_folder_is_this_users_alone(monkeypatch, tmp_path):
    """Others can neither read it nor take part."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    folder = share_folder("workers-1.2")

    assert folder.is_relative_to(tmp_path)
    for one in (folder, folder.parent):
        assert stat.S_IMODE(one.stat().st_mode) == 0o700


def test_a_folder_that_somebody_else_has_put_there_is_refused(monkeypatch, tmp_path):
    """In a folder that everybody may write to, a link could lead anywhere."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"holdfast-{os.getuid()}").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="XDG_RUNTIME_DIR"):
        share_folder("workers")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_folder_is_refused(name):
    """It would lead elsewhere."""
    with pytest.raises(ValueError, match="name of a share"):
        share_folder(name)
