"""Where the figures come from: hardware, kernel, interpreter, versions, load."""

import datetime
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

import holdfast
from benchmarks.memory import available_bytes
from benchmarks.peers import versions

__all__ = ("describe", "load_average", "sentence")


def describe() -> dict[str, Any]:
    """What somebody needs to know to compare figures with these."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": _cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory_available_bytes": available_bytes(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
        "switch_interval_s": sys.getswitchinterval(),
        "holdfast": metadata.version("holdfast"),
        "commit": _commit(),
        "peers": versions(),
        "load_average": load_average(),
    }


def sentence(machine: dict[str, Any]) -> str:
    """The same in a few lines for people."""
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    return (
        f"{machine['python']}{'' if machine['gil'] else ' without GIL'}, {machine['system']}, "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GB; "
        f"holdfast {machine['holdfast']} ({machine['commit']}); {peers or 'no peers installed'}; "
        f"{machine['date']}, load {machine['load_average']:.2f}"
    )


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _commit() -> str:
    """Of the package that is measured, with a word if its files have changed since."""
    package = Path(holdfast.__file__).parent
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return "commit unknown"
    changed = _git(package, "status", "--porcelain", "--", ".")
    commit = _git(package, "rev-parse", "--short", "HEAD")
    return f"{commit}, changed" if changed else f"{commit}"


def _git(folder: Path, *command: str) -> str | None:
    """What git says; None if it is not there or complains."""
    git = shutil.which("git")
    if git is None:
        return None
    ended = subprocess.run(  # noqa: S603 - fixed commands
        [git, *command], cwd=folder, capture_output=True, text=True, check=False
    )
    return ended.stdout.strip() if ended.returncode == 0 else None
