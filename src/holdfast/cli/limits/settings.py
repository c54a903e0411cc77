"""Settings that raise the limits: for compose, Kubernetes, systemd, and a Dockerfile.

The figures are one set; each kind of file says what it can say of it, and how to get the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.watch.capacity import Need

__all__ = ("EMITTERS", "Settings", "settings")

# What the interpreter, libraries, and a server besides the agents hold.
_OTHERS: Final = 256
_OTHER_BYTES: Final = 512 << 20
_LEAST_DESCRIPTORS: Final = 65_536
_LEAST_TASKS: Final = 4_096
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """The figures to set.

    Attributes:
        agents: For so many at once.
        descriptors: Limit of open files.
        tasks: Limit of threads and processes together.
        memory_mb: Limit of memory, in MB.
    """

    agents: int
    descriptors: int
    tasks: int
    memory_mb: int


def settings(agents: int, need: Need) -> Settings:
    """Return what ``agents`` at once need, twice over; memory once, with what the program needs."""
    descriptors = 2 * (_OTHERS + agents * need.descriptors)
    tasks = 2 * (_OTHERS + agents * (need.threads + need.processes))
    memory = _OTHER_BYTES + agents * need.memory_bytes
    return Settings(
        agents,
        max(_LEAST_DESCRIPTORS, _rounded(descriptors)),
        max(_LEAST_TASKS, _rounded(tasks)),
        -(-memory // _MB),
    )


def _rounded(number: int) -> int:
    """The next power of two: figures that people recognise."""
    return 1 << max(number - 1, 1).bit_length()


def raising(descriptors: int) -> str:
    """Return the line of a shell that raises the soft limit as far as it may, and runs the program.

    A program may raise its soft limit to the hard one without any right, and the next one inherits it.
    Backquotes, because ``$(...)`` is Kubernetes' own way to name a variable.
    """
    return (
        f's=`ulimit -Sn`; [ "$s" = unlimited ] || [ "$s" -ge {descriptors} ] || '
        f'ulimit -Sn {descriptors} 2>/dev/null || ulimit -Sn `ulimit -Hn`; exec "$@"'
    )


def _quoted(line: str) -> str:
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def compose(it: Settings) -> str:
    """For Docker Compose."""
    return f"""\
# compose.yaml, for {it.agents:,} agents at once; put these keys below your service.
services:
  agent:
    init: true          # reaps children whose parent is gone
    ulimits:
      nofile:
        soft: {it.descriptors}
        hard: {it.descriptors}
    pids_limit: {it.tasks}     # threads and processes together
    mem_limit: {it.memory_mb}m
"""


def kubernetes(it: Settings) -> str:
    """For Kubernetes, which has no field for ulimits."""
    return f"""\
# For {it.agents:,} agents at once. Kubernetes has no field for ulimits, and an init container can't set
# them: limits pass from a process to those that it starts, and the runtime starts each container.
# What works:
# 1. The command below raises the soft limit as far as the hard one, which needs no privilege. In a Python
#    program `holdfast.raise_fd_limit({it.descriptors})` does the same.
# 2. If the hard limit is lower (`ulimit -Hn` in the pod shows it), the node has to raise what its runtime
#    gives: in /etc/systemd/system/containerd.service.d/limits.conf
#      [Service]
#      LimitNOFILE={it.descriptors}
# 3. Threads and processes are bounded by the kubelet's configuration, not by the pod:
#      podPidsLimit: {it.tasks}
apiVersion: v1
kind: Pod
metadata:
  name: agent
spec:
  containers:
    - name: agent
      image: your-image
      command: ["sh", "-c", {_quoted(raising(it.descriptors))}, "--"]
      args: ["python", "agent.py"]
      resources:
        requests:
          memory: "{it.memory_mb}Mi"
        limits:
          memory: "{it.memory_mb}Mi"
"""


def systemd(it: Settings) -> str:
    """For a systemd service."""
    return f"""\
# /etc/systemd/system/agent.service.d/limits.conf, for {it.agents:,} agents at once; then
# `systemctl daemon-reload` and restart the service.
[Service]
LimitNOFILE={it.descriptors}
# Threads and processes of the service together:
TasksMax={it.tasks}
# Of all programs of its user together; root is not bound by it:
LimitNPROC={it.tasks}
# Slowed down here, and ended at the maximum:
MemoryHigh={it.memory_mb * 9 // 10}M
MemoryMax={it.memory_mb}M
"""


def dockerfile(it: Settings) -> str:
    """For a Dockerfile, which can't carry limits either."""
    return f"""\
# For {it.agents:,} agents at once. An image can't carry limits: whoever runs it sets them,
#   docker run --init --ulimit nofile={it.descriptors}:{it.descriptors} --pids-limit {it.tasks} \\
#     --memory {it.memory_mb}m IMAGE
# The entry point raises the soft limit as far as the hard one, which needs no privilege.
ENTRYPOINT ["sh", "-c", {_quoted(raising(it.descriptors))}, "--"]
CMD ["python", "agent.py"]
"""


EMITTERS: Final[dict[str, Callable[[Settings], str]]] = {
    "compose": compose,
    "kubernetes": kubernetes,
    "systemd": systemd,
    "dockerfile": dockerfile,
}
