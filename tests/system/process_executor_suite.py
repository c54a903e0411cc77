"""Runs CPython's own process-pool tests, those of this very interpreter, against ProcessPool.

A program for tests/system/test_process_conformance.py: prints one JSON object, test name -> "ok" or the
error. Tests that exist once for each way in which the standard pool starts processes are run once.
"""

import concurrent.futures
import faulthandler
import importlib
import json
import os
import sys
import unittest

from holdfast import ProcessPool, WorkerLost

PACKAGE = "test.test_concurrent_futures"
MODULES = (
    "test_process_pool",
    "test_shutdown",
    "test_wait",
    "test_as_completed",
    "test_init",
    "test_deadlock",
)


class Pool(ProcessPool):
    """With the arguments of the standard class."""

    def __init__(
        self,
        max_workers=None,
        mp_context=None,
        initializer=None,
        initargs=(),
        *,
        max_tasks_per_child=None,
    ):
        del mp_context
        if max_tasks_per_child is not None and not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks_per_child is not None and max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        super().__init__(
            max_workers,
            initializer=initializer,
            initargs=initargs,
            max_calls_per_worker=max_tasks_per_child,
            env=dict(os.environ),
            max_queue=10_000,
        )


def _classes():
    package = importlib.import_module(PACKAGE)
    modules = [package]
    if hasattr(package, "__path__"):  # a folder since 3.12
        modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES]
        mixins = importlib.import_module(f"{PACKAGE}.util")
    else:
        mixins = package
    mixins.ProcessPoolSpawnMixin.executor_type = Pool
    concurrent.futures.ProcessPoolExecutor = Pool  # some tests take it from here by name
    for module in modules:
        if hasattr(module, "BrokenProcessPool"):
            module.BrokenProcessPool = WorkerLost  # a worker's death costs its call, not the pool
    found = []
    for module in modules:
        for name in dir(module):
            kind = getattr(module, name)
            if (
                isinstance(kind, type)
                and issubclass(kind, mixins.ProcessPoolSpawnMixin)
                and issubclass(kind, unittest.TestCase)
            ):
                found.append(kind)
    return found


class _Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.said = {}

    def startTest(self, test):  # noqa: N802 - unittest's name
        super().startTest(test)
        faulthandler.dump_traceback_later(60, exit=True)

    def addSuccess(self, test):  # noqa: N802 - unittest's name
        self.said.setdefault(_name(test), "ok")

    def addError(self, test, err):  # noqa: N802 - unittest's name
        self.said[_name(test)] = f"{err[0].__name__}: {err[1]}"

    def addFailure(self, test, err):  # noqa: N802 - unittest's name
        self.addError(test, err)

    def addSkip(self, test, reason):  # noqa: N802 - unittest's name
        self.said[_name(test)] = f"skipped: {reason}"


def _name(test):
    return ".".join(test.id().split(".")[-2:]).replace("ProcessPoolSpawn", "")


def main(left_out):
    """Run all tests but ``left_out``, and print what came of each."""
    result = _Result()
    for case in dict.fromkeys(_classes()):
        for name in unittest.defaultTestLoader.getTestCaseNames(case):
            if not {name, _name(case(name))} & left_out:
                case(name).run(result)  # one by one: what modules tear down is of the standard pool
    faulthandler.cancel_dump_traceback_later()
    print("\n" + json.dumps(result.said))  # noqa: T201 - what it is run for


if __name__ == "__main__":
    main(set(sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)
