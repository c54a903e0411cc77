"""What can be set from outside of the program, and where it is read from."""

from holdfast.config.load import load
from holdfast.config.settings import (
    BudgetConfig,
    Config,
    GovernorConfig,
    MonitorConfig,
    PoolConfig,
    PoolsConfig,
    RetryConfig,
)

__all__ = (
    "BudgetConfig",
    "Config",
    "GovernorConfig",
    "MonitorConfig",
    "PoolConfig",
    "PoolsConfig",
    "RetryConfig",
    "load",
)
