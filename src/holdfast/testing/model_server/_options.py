"""Every option of the model server: its name, default and check, for Python and the command line."""

from dataclasses import dataclass, field, fields
from typing import Any

from holdfast._core import check
from holdfast.testing.model_server._latency import Latency

__all__ = ("Options", "flag_of")

_SHARES = ("error_rate", "hang_rate", "disconnect_rate", "stall_rate")
STALL_MODES = ("mix", "dribble", "pause")


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """The options, checked; see ``ModelServer`` for the longer word on each.

    Raises:
        ValueError: A value is out of its range, or the fault rates add up to more than 1.
        TypeError: A value is of the wrong type.
    """

    host: str = _option("127.0.0.1", "address to listen on")
    port: int = _option(0, "port to listen on, 0 to 65535; 0 takes any free one")
    seed: int = _option(0, "0 or more; decides which request meets which latency and fault")
    latency: float | str | Latency = _option(
        0.0,
        "seconds until an answer begins: a number, uniform:LOW:HIGH, exponential:MEAN "
        "or lognormal:MEDIAN:SIGMA",
    )
    token_latency: float | str | Latency = _option(
        0.0, "seconds between the tokens of a stream; the same forms"
    )
    rate_limit: int | None = _option(
        None, "calls per period, 1 or more; past it 429 with retry-after"
    )
    rate_period: float = _option(60.0, "length of that period in seconds")
    error_rate: float = _option(
        0.0, "share of calls answered by an error: half of them 500, half overloaded"
    )
    hang_rate: float = _option(0.0, "share of calls that never get an answer")
    disconnect_rate: float = _option(0.0, "share of answers cut off in the middle")
    stall_rate: float = _option(0.0, "share of answers that stall on the way (slow loris)")
    stall_mode: str = _option(
        "mix",
        "how they stall: dribble (byte by byte), pause (in the middle), mix (half and half)",
    )
    stall_time: float = _option(30.0, "seconds by which a stalled answer takes longer")
    stream_error_rate: float = _option(
        0.0, "share of the streams not hit by another fault that end in an error event"
    )
    max_concurrent: int | None = _option(
        None, "calls in flight, 1 or more; past it overloaded (None: as many as connections)"
    )
    max_connections: int = _option(4096, "open connections, 1 or more; past it 503 and closed")
    max_request_bytes: int = _option(4 * 1024 * 1024, "size of a request's body; past it 413")
    max_head_bytes: int = _option(32 * 1024, "size of a request's head; past it 431")
    idle_timeout: float = _option(
        75.0, "seconds after which a connection without a request, or that reads nothing, is closed"
    )
    request_timeout: float = _option(30.0, "seconds for a request to arrive whole; past it 408")
    grace: float = _option(1.0, "seconds for answers in progress when the server ends")
    access_log: bool = _option(False, "log a line per request")

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
            flags.append(flag_of(option.name))
            if not isinstance(value, bool):
                flags.append(str(value))
        return flags


def _bounded_seconds(name: str, value: object, *, zero: bool = False) -> None:
    if check.seconds(name, value, zero=zero) is None:
        msg = f"{name} must be seconds as a number, not None: nothing here waits without a bound"
        raise ValueError(msg)


def flag_of(name: str) -> str:
    """Return the command-line flag of the option called ``name``."""
    return "--" + name.replace("_", "-")
