"""Every option of the model server: its name, its default, its check."""

from dataclasses import dataclass, fields

from holdfast._core import check
from holdfast.testing.model_server._latency import Latency

__all__ = ("STALL_MODES", "Options", "flag_of")

_SHARES = ("error_rate", "hang_rate", "disconnect_rate", "stall_rate")
STALL_MODES = ("mix", "dribble", "pause")


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """The options, checked; see ``ModelServer`` for the longer word on each.

    Raises:
        ValueError: A value is out of its range, or the fault rates add up to more than 1.
        TypeError: A value is of the wrong type.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    latency: float | str | Latency = 0.0
    token_latency: float | str | Latency = 0.0
    rate_limit: int | None = None
    rate_period: float = 60.0
    error_rate: float = 0.0
    hang_rate: float = 0.0
    disconnect_rate: float = 0.0
    stall_rate: float = 0.0
    stall_mode: str = "mix"
    stall_time: float = 30.0
    stream_error_rate: float = 0.0
    max_concurrent: int | None = None
    max_connections: int = 4096
    max_request_bytes: int = 4 * 1024 * 1024
    max_head_bytes: int = 32 * 1024
    idle_timeout: float = 75.0
    request_timeout: float = 30.0
    grace: float = 1.0
    access_log: bool = False

    def __post_init__(self) -> None:
        if not 0 <= check.count("port", self.port) <= 65_535:  # noqa: PLR2004 - 16 bits
            msg = f"port must be 0 to 65535, not {self.port}"
            raise ValueError(msg)
        check.count("seed", self.seed)
        for name in ("rate_limit", "max_concurrent"):
            value = getattr(self, name)
            if value is not None:
                check.count(name, value, least=1)
        check.count("max_connections", self.max_connections, least=1)
        check.count("max_request_bytes", self.max_request_bytes, least=1)
        check.count("max_head_bytes", self.max_head_bytes, least=1024)
        for name in ("rate_period", "stall_time", "idle_timeout", "request_timeout"):
            _bounded_seconds(name, getattr(self, name))
        _bounded_seconds("grace", self.grace, zero=True)
        check.choice("stall_mode", self.stall_mode, STALL_MODES)
        Latency.parse(self.latency)
        Latency.parse(self.token_latency)
        self._check_shares()

    def _check_shares(self) -> None:
        for name in (*_SHARES, "stream_error_rate"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                msg = f"{name} must be a number from 0 to 1, not {value!r}"
                raise TypeError(msg)
            if not 0 <= value <= 1:
                msg = f"{name} must be 0 to 1, a share of the calls, not {value!r}"
                raise ValueError(msg)
        total = sum(getattr(self, name) for name in _SHARES)
        if total > 1 + 1e-9:
            msg = (
                f"{', '.join(_SHARES)} are shares of the same calls: together they must not be "
                f"more than 1, and are {total:g}; lower one of them"
            )
            raise ValueError(msg)

    def to_flags(self) -> list[str]:
        """Write the options that differ from their defaults as command-line flags."""
        flags: list[str] = []
        for option in fields(Options):
            value = getattr(self, option.name)
            if value == option.default:
                continue
            flag = flag_of(option.name)
            flags.append(flag if isinstance(value, bool) else f"{flag}={value}")
        return flags


def _bounded_seconds(name: str, value: object, *, zero: bool = False) -> None:
    if check.seconds(name, value, zero=zero) is None:
        msg = f"{name} must be seconds as a number, not None: nothing here waits without a bound"
        raise ValueError(msg)


def flag_of(name: str) -> str:
    """Return the command-line flag of the option called ``name``."""
    return "--" + name.replace("_", "-")
