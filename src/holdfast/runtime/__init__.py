"""One object that owns what a program runs on: settings, limits, monitor, governor, pools, their end."""

from holdfast.runtime.owner import Runtime

__all__ = ("Runtime",)
