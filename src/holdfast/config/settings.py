"""Everything that can be set, with its defaults and its bounds."""

from dataclasses import dataclass, field, fields

from holdfast._core import check

__all__ = (
    "BudgetConfig",
    "Config",
    "GovernorConfig",
    "MonitorConfig",
    "PoolConfig",
    "PoolsConfig",
    "RetryConfig",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """What the process may use; what is None is detected.

    Attributes:
        threads: Worker threads of all pools together.
        processes: Worker processes and tools.
        descriptors: File descriptors.
        memory_bytes: Resident memory.
    """

    threads: int | None = None
    processes: int | None = None
    descriptors: int | None = None
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            if (value := getattr(self, each.name)) is not None:
                check.count(each.name, value, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """One of the default pools; what is None is the pool's own default.

    Attributes:
        size: Calls at once; None is what :func:`holdfast.recommend` says for this machine.
        max_queue: Most calls that wait.
        queue_timeout: Longest wait in seconds.
        timeout: Longest run in seconds.
        rate: Starts per second.
        response_s: Mean seconds that a call takes; with ``rate`` it gives the size.
        connections: Connections of the database.
    """

    size: int | None = None
    max_queue: int = 1000
    queue_timeout: float | None = None
    timeout: float | None = None
    rate: float | None = None
    response_s: float | None = None
    connections: int | None = None

    def __post_init__(self) -> None:
        for name in ("size", "connections"):
            if (value := getattr(self, name)) is not None:
                check.count(name, value, least=1)
        check.count("max_queue", self.max_queue)
        check.seconds("queue_timeout", self.queue_timeout, zero=True)
        for name in ("timeout", "rate", "response_s"):
            check.seconds(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolsConfig:
    """The default pools.

    Attributes:
        llm: Coroutines that call models.
        db: Threads for a database.
        io: Threads for files, and whatever else blocks.
        cpu: Processes that compute.
    """

    llm: PoolConfig = field(default_factory=PoolConfig)
    db: PoolConfig = field(default_factory=PoolConfig)
    io: PoolConfig = field(default_factory=PoolConfig)
    cpu: PoolConfig = field(default_factory=PoolConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """The monitor.

    Attributes:
        enabled: Whether it runs.
        interval: Seconds from one sample to the next.
        caution: The share of a limit from which on there is caution, 0 to 1.
        critical: The share from which on it is critical, above ``caution``.
        serve: Whether ``holdfast top`` of the same user may ask this process for what it knows.
    """

    enabled: bool = True
    interval: float = 1.0
    caution: float = 0.8
    critical: float = 0.9
    serve: bool = True

    def __post_init__(self) -> None:
        check.seconds("interval", self.interval)
        if not 0 < self.caution < self.critical <= 1:
            msg = (
                f"0 < caution < critical <= 1 must hold, not {self.caution!r} and {self.critical!r}"
            )
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorConfig:
    """The governor.

    Attributes:
        enabled: Whether it moves limits.
    """

    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """The bound for all retries of the process together.

    Attributes:
        ratio: Retries for each first call.
        per_s: Retries each second that are there in any case.
        most: Retries that may be saved up.
    """

    ratio: float = 0.1
    per_s: float = 1.0
    most: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set.

    Attributes:
        grace: Seconds that work has to end in when the program is told to end.
        fd_target: What the soft limit of descriptors is raised to at the start, within the hard one; 0
            leaves it alone.
        share: The name under which processes on this machine divide the threads among each other; empty
            for a process that keeps to itself.
        budget: What the process may use.
        pools: The default pools.
        monitor: The monitor.
        governor: The governor.
        retry: The bound for all retries.
    """

    grace: float = 30.0
    fd_target: int = 65_536
    share: str = ""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    pools: PoolsConfig = field(default_factory=PoolsConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    governor: GovernorConfig = field(default_factory=GovernorConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)

    def __post_init__(self) -> None:
        check.seconds("grace", self.grace, zero=True)
        check.count("fd_target", self.fd_target)
