"""The page of stacks: alike ones together, the most first."""

import re
from typing import Any, Final

from rich.text import Text

from holdfast.cli.top.marks import clipped

__all__ = ("stack_lines", "stack_page")

_DIGITS: Final = re.compile(r"\d+")
_KEYS: Final = "up/down, page up/page down scroll  f freeze  d back  q quit"
_TAIL: Final = 2


def stack_lines(found: dict[str, Any], width: int) -> list[Text]:
    """Return all lines of the stacks, as many as there are."""
    lines: list[Text] = []
    if found.get("why"):
        lines += [Text(clipped(f"no stacks: {found['why']}", width), "yellow")]
        lines += [Text(clipped("run Monitor(serve=True) in it, or holdfast.watch.serve()", width))]
    for what in ("threads", "tasks"):
        for (name, stack), count in _alike(found[what]):
            many = what if count > 1 else what.removesuffix("s")
            lines += [Text(""), Text(clipped(f"{count:,} {many} {name}", width), "bold cyan")]
            lines += [Text(f"  {clipped(_shown(frame, width - 2), width - 2)}") for frame in stack]
    if found.get("more_tasks"):
        lines += [Text(""), Text(f"and {found['more_tasks']:,} more tasks")]
    return lines


def stack_page(
    lines: list[Text], offset: int, height: int, width: int, *, frozen: bool
) -> list[Text]:
    """Return what of the lines is seen, and the keys."""
    shown = lines[offset : offset + height - 1]
    shown += [Text("")] * (height - 1 - len(shown))
    keys = f"{_KEYS}  {'frozen' if frozen else ''}  {offset + 1:,} of {len(lines):,}"
    return [*shown, Text(clipped(keys, width), "reverse")]


def _alike(found: list[dict[str, Any]]) -> list[tuple[tuple[str, tuple[str, ...]], int]]:
    """Those with the same stack, and with names that differ in numbers, counted together."""
    counts: dict[tuple[str, tuple[str, ...]], int] = {}
    for each in found:
        key = (_DIGITS.sub("#", each["name"]), tuple(each["stack"]))
        counts[key] = counts.get(key, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def _shown(frame: str, width: int) -> str:
    """The end of a long path: the file and the line are what matter."""
    if len(frame) <= width:
        return frame
    path, found, rest = frame.rpartition("/")
    if not found:
        return frame
    folders = path.split("/")[-_TAIL:]
    return "/".join(["..", *folders, rest])
