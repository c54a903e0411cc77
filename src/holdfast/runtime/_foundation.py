"""What a runtime stands on: settings, limits, budget, monitor, governor, share. Opened in order, or not at all.

Closed in reverse: the share is given back, governor and monitor end, the bounds for retries and the budget are
what they were before. The limit of descriptors stays raised.
"""

import contextlib
import logging
from dataclasses import fields, replace
from typing import Final

from holdfast.config.settings import Config
from holdfast.limits.retry_budget import RetryBudget
from holdfast.limits.sizing import Machine
from holdfast.pools._retries import set_retry_budget
from holdfast.pools.budget import Budget, set_budget
from holdfast.runtime._thread_share import ThreadShare
from holdfast.sense.cpus import usable_cpus
from holdfast.sense.fd_limit import FdLimit, raise_fd_limit
from holdfast.watch.governor import Governor
from holdfast.watch.monitor import Monitor
from holdfast.watch.thresholds import Threshold

__all__ = ("Foundation",)

log = logging.getLogger("holdfast.runtime")

_PARTS_OF_A_BOUND: Final = ("descriptors", "threads", "processes", "memory", "pools")
"""What the settings' two thresholds are for."""


class Foundation:
    """Opened by being made.

    Args:
        config: The settings.

    Attributes:
        fd_limit: What became of raising the limit of descriptors; None if nobody wants it raised.
        budget: What the process may use, were it alone.
        monitor: Runs, unless it is turned off.
        governor: Runs; None if it is turned off.
        share: Its share of a limit on threads; None if it keeps to itself.
    """

    def __init__(self, config: Config) -> None:
        self._undo = contextlib.ExitStack()
        self.share: ThreadShare | None = None
        try:
            self._begin(config)
        except BaseException:
            self._undo.close()
            raise

    def close(self) -> None:
        """Undo it."""
        self._undo.close()

    def forget(self) -> None:
        """In a child after a fork: all of it is the parent's."""
        self._undo.pop_all()
        self.share = None

    def machine(self) -> Machine:
        """What sizes go by: the budget as it would be without others."""
        budget = self.budget
        return Machine(
            cpus=usable_cpus(),
            threads=budget.threads,
            processes=budget.processes,
            descriptors=budget.descriptors,
        )

    def _begin(self, config: Config) -> None:
        self.fd_limit: FdLimit | None = None
        if config.fd_target:
            self.fd_limit = raise_fd_limit(config.fd_target)
            log.info("limit of descriptors: %s", self.fd_limit.reason)
        self.budget = _budget(config)
        self._undo.callback(set_budget, set_budget(self.budget))
        retry = RetryBudget(
            ratio=config.retry.ratio, per_s=config.retry.per_s, most=config.retry.most
        )
        self._undo.callback(set_retry_budget, set_retry_budget(retry))
        self.monitor = _monitor(config)
        self._undo.callback(self.monitor.close)
        if config.monitor.enabled:
            self.monitor.start()  # if it gets no thread, it says so
        self.governor = Governor(self.monitor) if config.governor.enabled else None
        if self.governor is not None:
            self._undo.callback(self.governor.close)
            if not self.governor.start():
                log.warning("the governor got no thread: limits stay as they are set")
        if config.share:
            self._take_share(config.share)

    def _take_share(self, name: str) -> None:
        from holdfast.watch.machine_share import MachineShare, share_folder  # noqa: PLC0415 - Unix only

        share = ThreadShare(MachineShare(share_folder(name)), self.budget.threads)
        self._undo.callback(share.close)
        share.start()
        self.share = share


def _budget(config: Config) -> Budget:
    """What the machine leaves, but for what the settings say."""
    found = Budget.detect()
    said = {each.name: getattr(config.budget, each.name) for each in fields(found)}
    return replace(found, **{name: value for name, value in said.items() if value is not None})


def _monitor(config: Config) -> Monitor:
    share = Threshold(config.monitor.caution, config.monitor.critical)
    return Monitor(
        interval=config.monitor.interval,
        thresholds=dict.fromkeys(_PARTS_OF_A_BOUND, share),
        serve=config.monitor.serve,
    )
