"""Figures as a process tells them, for screens."""

from holdfast.cli.top.source import Found


def reading(name, value, bound, source="a test"):
    used = None if bound is None else value / bound
    return {
        "name": name,
        "value": value,
        "bound": bound,
        "source": source,
        "note": "",
        "used": used,
    }


def pool(name, *, in_flight=0, limit=10, queued=0, abandoned=0, completed=0, p99_s=0.1, level="ok"):
    stats = {
        "name": name,
        "in_flight": in_flight,
        "limit": limit,
        "queued": queued,
        "blocked": 0,
        "max_queue": 1000,
        "abandoned": abandoned,
        "completed": completed,
        "failed": 0,
        "run": {"count": 5, "total_s": 0.5, "p50_s": 0.05, "p90_s": 0.1, "p99_s": p99_s},
    }
    return {"kind": "threads", "level": level, "stats": stats}


def figures(**more):
    trend = {"name": "descriptors", "evidence": "none", "per_minute": 0.0, "left_s": None}
    return {
        "pid": 4711,
        "level": "ok",
        "fds": 340,
        "threads": 12,
        "rss_bytes": 88e6,
        "cpu_s": 3.0,
        "bounds": {
            "descriptors": reading("descriptors", 340, 1024, "soft RLIMIT_NOFILE"),
            "threads": reading("threads", 12, 100),
            "processes": reading("processes", 1, None),
            "memory": reading("memory", 2e9, 4e9),
            "cpus": reading("cpus", 1.0, 2),
        },
        "trends": [trend],
    } | more


def found(at=100.0, served=True, holders=(), at_wall=1000.0, **more):
    return Found(at, figures(at=at_wall, **more), served, tuple(holders))
