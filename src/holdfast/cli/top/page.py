"""The screen: lines of text for a width and a height, from what was found."""

from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from holdfast.cli.top.marks import bar, clipped, figure, lasting, sparkline
from holdfast.cli.top.source import Found
from holdfast.cli.top.tracks import Tracks

__all__ = ("SORTS", "Page", "page")

SORTS: Final = ("as made", "name", "in flight", "queued", "abandoned", "rate", "p99")
_LEVELS: Final = {"ok": "bold green", "caution": "bold yellow", "critical": "bold red"}
_KEYS: Final = "s sort  r reverse  f freeze  d stacks  q quit   sorted: "
_WIDE: Final = 100
_LEAST_HOLDERS: Final = 3
_DECISIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Page:
    """How it shall look.

    Attributes:
        command: The command line of the process.
        width: Columns.
        height: Lines.
        sort: Pools by what; one of :data:`SORTS`.
        reverse: The other way round.
        frozen: Whether it is told that nothing is renewed.
        keys: Whether the keys are told.
        ascii_only: Whether the terminal can't draw blocks.
    """

    command: str
    width: int
    height: int
    sort: str = SORTS[0]
    reverse: bool = False
    frozen: bool = False
    keys: bool = True
    ascii_only: bool = False


def page(found: Found, tracks: Tracks, how: Page) -> list[Text]:
    """Return the lines, at most ``how.height``."""
    lines = [_headline(found, how), *_limits(found.figures, tracks, how)]
    order = f"{how.sort}{', reversed' if how.reverse else ''}"
    end = [Text(clipped(_KEYS + order, how.width), "reverse")] if how.keys else []
    pools = _pools(found, tracks, how)
    decisions = _decisions(found.figures, how)
    room = how.height - len(lines) - len(end) - len(decisions)
    least = min(len(found.holders), _LEAST_HOLDERS) + 2 if found.holders else 0
    lines += pools[: max(0, room - least)] if len(pools) > room - least else pools
    lines += decisions
    lines += _holders(found, how, how.height - len(lines) - len(end))
    lines = lines[: how.height - len(end)]
    if how.keys:
        lines += [Text("")] * (how.height - len(lines) - len(end))
    return lines + end


def _headline(found: Found, how: Page) -> Text:
    figures = found.figures
    level = figures.get("level", "ok")
    state = "frozen" if how.frozen else "from inside" if found.served else "from outside"
    right = f" {level}  {state}"
    left = f"{figures['pid']}  {how.command}"
    line = Text(clipped(left, how.width - len(right)).ljust(how.width - len(right)), "bold")
    line.append(f" {level}", _LEVELS.get(level, ""))
    return line.append(f"  {state}", "yellow" if how.frozen else "bright_black")


# ---------------------------------------------------------------- limits


def _limits(figures: dict[str, Any], tracks: Tracks, how: Page) -> list[Text]:
    trends = {each["name"]: each for each in figures.get("trends", ())}
    wide = 24 if how.width >= _WIDE else 14
    lines = [Text("LIMITS", "bold cyan")]
    for name in ("descriptors", "threads", "processes", "memory", "cpus"):
        reading = figures["bounds"][name]
        value = tracks.cpus if name == "cpus" else reading["value"]
        bound = reading["bound"]
        used = value / bound if value is not None and bound else None
        told = figure(name, value) + (f" of {figure(name, bound)}" if bound is not None else "")
        line = Text(f"{name:<12}") + bar(used, wide, ascii_only=how.ascii_only)
        line.append(f" {told:<19}")
        line.append_text(sparkline(tracks.of(name, wide), wide, ascii_only=how.ascii_only))
        line.append("  ").append_text(_forecast(trends.get(name), reading, figures, how))
        line.truncate(how.width)
        lines.append(line)
    return lines


def _forecast(
    trend: dict[str, Any] | None, reading: dict[str, Any], figures: dict[str, Any], how: Page
) -> Text:
    """When the bound is reached; without growth who sets the bound."""
    if trend is None or trend["evidence"] == "none":
        told = reading["source"] or reading["note"]
        if reading["name"] == "memory":  # the bound is shared: what of it is this process's
            told = f"{figure('memory', figures['rss_bytes'])} resident, {told}"
        return Text(clipped(told, how.width), "bright_black")
    pace = figure(trend["name"], trend["per_minute"])
    if trend["left_s"] is None:
        return Text(f"+{pace}/min ({trend['evidence']})", "yellow")
    style = "bold yellow" if trend["evidence"] == "weak" else "bold red"
    return Text(f"full in {lasting(trend['left_s'])} ({trend['evidence']}, +{pace}/min)", style)


# ---------------------------------------------------------------- pools


def _pools(found: Found, tracks: Tracks, how: Page) -> list[Text]:
    pools = found.figures.get("pools")
    if pools is None:
        told = "pools and stacks are shown if it runs Monitor(serve=True) or holdfast.watch.serve()"
        return [Text(""), Text(clipped(told, how.width), "bright_black")]
    name_width = 22 if how.width >= _WIDE else 14
    spark = 16 if how.width >= _WIDE else 6
    head = (
        f"{'POOL':<{name_width}} {'IN FLIGHT':>13} {'QUEUED':>11} {'ABAND':>5} "
        f"{'RATE/S':>7} {'P50':>7} {'P99':>7} "
    )
    title = Text(head, "bold cyan")
    title.truncate(how.width)
    lines = [Text(""), title]
    shown = _sorted(pools, tracks, how)
    return lines + [_pool(pool, tracks, how, name_width, spark) for pool in shown]


def _pool(pool: dict[str, Any], tracks: Tracks, how: Page, name_width: int, spark: int) -> Text:
    stats = pool["stats"]
    key = f"pool {stats['name']}"
    flight = f"{stats['in_flight']:,}/{stats['limit']:,}"
    used = stats["in_flight"] / stats["limit"] if stats["limit"] else 0.0
    line = Text(f"{clipped(stats['name'], name_width):<{name_width}} ", _LEVELS[pool["level"]])
    line.append_text(bar(used, 4, ascii_only=how.ascii_only)).append(f"{flight:>9} ")
    line.append(f"{stats['queued'] + stats['blocked']:,}/{stats['max_queue']:,} ".rjust(12))
    line.append(f"{stats['abandoned']:>5} ", "red" if stats["abandoned"] else "")
    rate = tracks.rates.get(key)
    line.append("      - " if rate is None else f"{rate:>7,.1f} ")
    run = stats["run"]
    line.append(f"{lasting(_if_any(run, 'p50_s')):>7} {lasting(_if_any(run, 'p99_s')):>7} ")
    line.append_text(sparkline(tracks.of(key, spark), spark, ascii_only=how.ascii_only))
    line.truncate(how.width)
    return line


def _if_any(run: dict[str, Any], which: str) -> float | None:
    return run[which] if run["count"] else None


def _sorted(pools: list[dict[str, Any]], tracks: Tracks, how: Page) -> list[dict[str, Any]]:
    def key(pool: dict[str, Any]) -> Any:
        stats = pool["stats"]
        if how.sort == "name":
            return stats["name"]
        known = {
            "in flight": stats["in_flight"],
            "queued": stats["queued"] + stats["blocked"],
            "abandoned": stats["abandoned"],
            "rate": tracks.rates.get(f"pool {stats['name']}", 0.0),
            "p99": stats["run"]["p99_s"] or 0.0,
        }
        return -known[how.sort]  # the most first

    found = list(pools) if how.sort == SORTS[0] else sorted(pools, key=key)
    return found[::-1] if how.reverse else found


# ---------------------------------------------------------------- the rest


def _decisions(figures: dict[str, Any], how: Page) -> list[Text]:
    """What the governor has done lately, if one runs."""
    decisions: list[dict[str, Any]] = figures.get("decisions", [])[-_DECISIONS:]
    if not decisions:
        return []
    lines = [Text(""), Text("GOVERNOR", "bold cyan")]
    for each in reversed(decisions):
        ago = f"{lasting(figures['at'] - each['at'])} ago"
        what = "paused" if each["paused"] else f"{each['share']:.0%}"
        lines.append(Text(clipped(f"{ago:>12} {what:>7}  {each['reason']}", how.width)))
    return lines


def _holders(found: Found, how: Page, room: int) -> list[Text]:
    """What is held, by place, the most first."""
    if not found.holders or room < _LEAST_HOLDERS:
        return []
    lines = [Text(""), Text("HELD  BY", "bold cyan")]
    shown = found.holders[: room - len(lines)]
    if len(shown) < len(found.holders):
        shown = shown[:-1]
    lines += [Text(clipped(f"{count:>5,} {name}", how.width)) for name, count in shown]
    rest = found.holders[len(shown) :]
    if rest:
        more = sum(count for _, count in rest)
        lines.append(Text(f"{more:>5,} in {len(rest):,} other places", "bright_black"))
    return lines
