"""What is to be run, checked before anything is started."""

import os
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, Unpack

from holdfast._core import check

__all__ = ("Command", "Input", "Options", "Spec", "Stderr", "Stdout", "make_spec")

Command = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Input = bytes | bytearray | memoryview | int | Iterable[bytes] | AsyncIterable[bytes] | None
Stdout = Literal["capture", "discard"]
Stderr = Literal["capture", "discard", "stdout"]

SHELL: Final = "/bin/sh"

TIMEOUT: Final = 60.0
MOST_OUTPUT: Final = 1 << 20
GRACE: Final = 2.0
LINGER: Final = 0.2


class Options(TypedDict, total=False):
    """What can be said of a run, by name. The meanings are those of :func:`holdfast.run_process`."""

    input: Input
    env: Mapping[str, str] | None
    cwd: str | os.PathLike[str] | None
    stderr: Stderr
    max_output_bytes: int
    check: bool
    kill_grace: float
    linger: float
    shell: bool
    pass_fds: Iterable[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is to be run. The fields are those of :func:`holdfast.run_process`."""

    args: tuple[str, ...]
    shown: tuple[str, ...]
    timeout: float | None
    input: Any
    env: Mapping[str, str] | None
    cwd: str | os.PathLike[str] | None
    stdout: Stdout
    stderr: Stderr
    max_output_bytes: int
    check: bool
    kill_grace: float
    linger: float
    pass_fds: tuple[int, ...]


def make_spec(
    cmd: Command,
    *,
    timeout: float | None = TIMEOUT,
    stdout: str = "capture",
    **options: Unpack[Options],
) -> Spec:
    """Check the arguments of a run.

    Raises:
        TypeError: Something has the wrong type.
        ValueError: Something is out of its range.
    """
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        msg = f"there is no option {min(unknown)!r}; there are {', '.join(Options.__annotations__)}"
        raise TypeError(msg)
    given: Any = options.get("input")
    if isinstance(given, str):
        msg = "input is bytes: encode the text first, for example input=text.encode()"
        raise TypeError(msg)
    stderr = options.get("stderr", "capture")
    check.choice("stdout", stdout, ("capture", "discard"))
    check.choice("stderr", stderr, ("capture", "discard", "stdout"))
    shell = options.get("shell", False)
    shown = _words(cmd, shell=shell)
    return Spec(
        args=(SHELL, "-c", *shown) if shell else shown,
        shown=shown,
        timeout=check.seconds("timeout", timeout),
        input=given,
        env=options.get("env"),
        cwd=options.get("cwd"),
        stdout="discard" if stdout == "discard" else "capture",
        stderr=stderr,
        max_output_bytes=check.count(
            "max_output_bytes", options.get("max_output_bytes", MOST_OUTPUT)
        ),
        check=options.get("check", False),
        kill_grace=_seconds("kill_grace", options.get("kill_grace", GRACE)),
        linger=_seconds("linger", options.get("linger", LINGER)),
        pass_fds=tuple(options.get("pass_fds", ())),
    )


def _seconds(name: str, value: float) -> float:
    found = check.seconds(name, value, zero=True)
    if found is None:
        msg = f"{name} must be 0 or more seconds, not None: a tool that is to end is not waited for without a bound"
        raise TypeError(msg)
    return found


def _words(cmd: Command, *, shell: bool) -> tuple[str, ...]:
    if shell:
        if not isinstance(cmd, str):
            msg = f"cmd must be one string for the shell with shell=True, not {cmd!r}"
            raise TypeError(msg)
        return (cmd,)
    if isinstance(cmd, str | os.PathLike | bytes):
        msg = (
            f"cmd must be a list of words such as ['git', 'log'], not {cmd!r}; "
            "for a line in the shell's language pass shell=True"
        )
        raise TypeError(msg)
    words = tuple(os.fsdecode(word) for word in cmd)
    if not words:
        msg = "cmd must have at least one word: the program"
        raise ValueError(msg)
    return words
