"""A copy of ``/proc`` and ``/sys`` with whatever a test puts there."""

import os
from pathlib import Path

STATUS = """\
Name:\tagent
Uid:\t1000\t1000\t1000\t1000
VmSize:\t  200000 kB
Threads:\t10
CapEff:\t0000000000000000
Cpus_allowed_list:\t0-3"""
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max stack size            8388608              unlimited            bytes
Max processes             {nproc}                  {nproc}                  processes
Max open files            1024                 4096                 files
Max address space         {space}            unlimited            bytes
"""


class Tree:
    """Writes files under ``root``; ``tree.root`` goes to the readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = str(folder)

    def write(self, path: str, text: object) -> None:
        """Write a file, with a newline at its end."""
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")

    def remove(self, path: str) -> None:
        """Take a file away."""
        (self.folder / path.lstrip("/")).unlink()

    def process(
        self, pid: str = "self", *, status: str = STATUS, nproc: object = 100, space="unlimited"
    ) -> None:
        """Add a process of user 1000 with 10 threads."""
        self.write(f"/proc/{pid}/status", status)
        self.write(f"/proc/{pid}/limits", LIMITS.format(nproc=nproc, space=space))
        self.write(f"/proc/{pid}/statm", "50000 1000 500 1 0 700 0")
        self.write(f"/proc/{pid}/cgroup", "")

    def machine(self) -> None:
        """Add what the machine tells of itself."""
        self.write("/proc/loadavg", "0.10 0.20 0.30 2/500 4711")
        self.write("/proc/sys/kernel/threads-max", 60000)
        self.write("/proc/sys/kernel/pid_max", 32768)
        self.write("/proc/sys/fs/nr_open", 1048576)
        self.write("/proc/sys/fs/file-nr", "3000\t0\t5000")
        self.write(
            "/proc/meminfo",
            "MemTotal:       16000 kB\nMemAvailable:   12000 kB\n"
            "SwapTotal:       4000 kB\nSwapFree:        3000 kB",
        )
        self.write("/sys/devices/system/cpu/online", "0-3")

    def unified(self, path: str, *, mounted: str = "/", point: str = "/sys/fs/cgroup") -> None:
        """Put the process into a group of version 2, and mount the tree."""
        self.write("/proc/self/cgroup", f"0::{path}")
        self.write(
            "/proc/self/mountinfo",
            f"22 27 0:21 / /proc rw - proc proc rw\n"
            f"41 31 0:38 {mounted} {point} rw,relatime shared:4 - cgroup2 cgroup2 rw",
        )

    def group(self, folder: str, **files: object) -> None:
        """Add a group with files; ``pids__max`` is ``pids.max``."""
        (self.folder / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            self.write(f"{folder}/{name.replace('__', '.')}", text)

    def link(self, fd: int, target: str, pid: str = "self") -> None:
        """Add an open descriptor that leads to ``target``."""
        folder = self.folder / "proc" / pid / "fd"
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(target, folder / str(fd))
