"""Starts a program: clean descriptors, a session of its own, a mark, and nothing left if it fails.

Guarantees: the program has standard input, output and error, the descriptors that were named, and
none else. It is announced to the keeper before it starts. Our ends of its pipes, and what its start needs
besides, are drawn from the process's descriptors before anything is opened. If there is no room there, or
the system is short of something, it is waited for a while; then the call is refused, and the program
never ran.
"""

import asyncio
import errno
import os
import resource
import subprocess
from dataclasses import dataclass
from typing import Final

from holdfast._core import clock
from holdfast._core.process_tree.keeper import KEEPER
from holdfast._core.process_tree.mark import mark_environment, new_mark
from holdfast._core.process_tree.tree import Tree
from holdfast.errors import UnderPressure
from holdfast.track._draws import Draw
from holdfast.track.descriptors import DESCRIPTORS
from holdfast.track.process.feeder import own_descriptor
from holdfast.track.process.spec import Spec

__all__ = ("Started", "start")

_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
_LONGEST_WAIT: Final = 10.0
"""Seconds for which room among the descriptors is waited for, where the program has as long to run."""

_WAITS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)


@dataclass(slots=True)
class Started:
    """A program that runs, our ends of its pipes (-1 where there is none), and the right to these."""

    process: "subprocess.Popen[bytes]"
    tree: Tree
    mark: str
    at: float
    stdin: int
    stdout: int
    stderr: int
    draw: Draw


async def start(spec: Spec) -> Started:
    """Start the program.

    Raises:
        UnderPressure: Before start: there was no room for its descriptors, or descriptors, processes or
            memory were short, seven times.
        OSError: Before start: there is no such program or folder, or it may not be run.
        ValueError: Before start: a word, or the environment, has a null byte.
    """
    starting, running = _descriptors(spec)
    wait = _LONGEST_WAIT if spec.timeout is None else min(spec.timeout, _LONGEST_WAIT)
    draw = await DESCRIPTORS.atake(starting, owner=f"program {spec.args[0]!r}", timeout=wait)
    try:
        started = await _start_patiently(spec, draw)
    except BaseException:
        draw.give_back()
        raise
    draw.keep(running)
    draw.opened()
    return started


def _descriptors(spec: Spec) -> tuple[int, int]:
    """How many descriptors of ours there are at most while it starts, and while it runs."""
    given = None if spec.input is None else own_descriptor(spec.input)
    written = spec.input is not None and given is None
    pipes = written + (spec.stdout == "capture") + (spec.stderr == "capture")
    null = spec.input is None or "discard" in {spec.stdout, spec.stderr}
    # Both ends of each pipe, those of the one by which a failure is told, and the null device once;
    # then our ends, and the descriptor of the process.
    return 2 * pipes + 2 + null, pipes + 1


async def _start_patiently(spec: Spec, draw: Draw) -> Started:
    waits = iter(_WAITS)
    waited, tries = 0.0, 0
    while True:
        try:
            return _start(spec, draw)
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            tries += 1
            wait = next(waits, None)
            if wait is None or (spec.timeout is not None and waited + wait > spec.timeout):
                raise _refusal(spec, error, tries, waited) from error
        waited += wait
        await asyncio.sleep(wait)


def _refusal(spec: Spec, error: OSError, tries: int, waited: float) -> UnderPressure:
    # Nothing is imported and nothing opened here: that is what just failed.
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    bound = (
        f"the limit on descriptors (this process may open {most})"
        if error.errno in {errno.EMFILE, errno.ENFILE}
        else "that on processes or memory"
    )
    msg = (
        f"the system refused {tries} times in {waited:.2f} s to start {spec.args[0]!r}: "
        f"{error.strerror}; it never ran. Run fewer at once, or raise {bound}"
    )
    return UnderPressure(msg, retry_after=1.0)


class _Ends:
    """Descriptors that are closed when they are not handed on."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def pipe(self, *, write: bool) -> tuple[int, int]:
        """Return our end, not blocking, and the program's end of a new pipe."""
        pair = os.pipe()
        self._open += pair
        ours, its = pair[::-1] if write else pair
        os.set_blocking(ours, False)
        return ours, its

    def close(self, *, but: tuple[int, ...] = ()) -> None:
        """Close all ``but`` some."""
        for fd in self._open:
            if fd not in but:
                os.close(fd)


def _start(spec: Spec, draw: Draw) -> Started:
    mark = new_mark()
    ends = _Ends()
    kept: tuple[int, ...] = ()
    KEEPER.announce(mark)
    try:
        its_in: int = subprocess.DEVNULL
        its_out: int = subprocess.DEVNULL
        its_err: int = subprocess.DEVNULL
        ours_in = ours_out = ours_err = -1
        if spec.input is not None:
            given = own_descriptor(spec.input)
            if given is not None:
                its_in = given
            else:
                ours_in, its_in = ends.pipe(write=True)
        if spec.stdout == "capture":
            ours_out, its_out = ends.pipe(write=False)
        if spec.stderr == "capture":
            ours_err, its_err = ends.pipe(write=False)
        elif spec.stderr == "stdout":
            its_err = subprocess.STDOUT
        process = _popen(spec, mark, its_in, its_out, its_err)
        kept = (ours_in, ours_out, ours_err)
    except BaseException:
        KEEPER.ended(mark)
        raise
    finally:
        ends.close(but=kept)
    tree = Tree(process.pid, mark)
    KEEPER.started(mark, tree)
    return Started(process, tree, mark, clock.now(), ours_in, ours_out, ours_err, draw)


def _popen(
    spec: Spec, mark: str, its_in: int, its_out: int, its_err: int
) -> "subprocess.Popen[bytes]":
    environment = os.environ if spec.env is None else spec.env
    return subprocess.Popen(  # noqa: S603 - what to run is the caller's to say
        spec.args,
        stdin=its_in,
        stdout=its_out,
        stderr=its_err,
        env=mark_environment(environment, mark),
        cwd=spec.cwd,
        close_fds=True,
        pass_fds=spec.pass_fds,
        start_new_session=True,
    )
