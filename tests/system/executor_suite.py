"""Runs CPython's own executor tests, those of this very interpreter, against ThreadPool.

A program for tests/system/test_conformance.py: prints one JSON object, test name -> "ok" or the error.
"""

import concurrent.futures
import faulthandler
import importlib
import json
import sys
import unittest

from holdfast import ThreadPool

CLASSES = (
    "ThreadPoolExecutorTest",
    "ThreadPoolShutdownTest",
    "ThreadPoolWaitTests",
    "ThreadPoolAsCompletedTest",
    "ThreadPoolAsCompletedTests",
    "ThreadPoolInitializerTest",
    "ThreadPoolFailingInitializerTest",
    "FutureTests",
)
PACKAGE = "test.test_concurrent_futures"
MODULES = (
    "test_thread_pool",
    "test_shutdown",
    "test_wait",
    "test_as_completed",
    "test_init",
    "test_future",
)


def _classes():
    concurrent.futures.ThreadPoolExecutor = ThreadPool  # tests take it from here by name
    package = importlib.import_module(PACKAGE)
    found = [package]
    if hasattr(package, "__path__"):  # a folder since 3.12
        found = [importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES]
        importlib.import_module(f"{PACKAGE}.util").ThreadPoolMixin.executor_type = ThreadPool
    else:
        package.ThreadPoolMixin.executor_type = ThreadPool
    return [getattr(module, name) for module in found for name in CLASSES if hasattr(module, name)]


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
    return ".".join(test.id().split(".")[-2:])


def main(left_out):
    """Run all tests but ``left_out``, and print what came of each."""
    suite = unittest.TestSuite()
    for case in dict.fromkeys(_classes()):
        names = unittest.defaultTestLoader.getTestCaseNames(case)
        wanted = [name for name in names if not {name, f"{case.__name__}.{name}"} & left_out]
        suite.addTests(case(name) for name in wanted)
    result = _Result()
    suite.run(result)
    faulthandler.cancel_dump_traceback_later()
    sys.stdout.write("\n" + json.dumps(result.said))  # unittest prints durations before it


if __name__ == "__main__":
    main(set(sys.argv[1:]))
