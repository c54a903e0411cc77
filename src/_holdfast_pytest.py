"""The way of pytest into holdfast: options, and nothing else until somebody asks for the check.

It stands beside the package, because pytest imports it in every run of an environment that holdfast is
installed in: so such a run does not import the package.
"""

from __future__ import annotations

import pytest

_NAME = "holdfast-guard"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--holdfast`` and the settings."""
    group = parser.getgroup("holdfast", "holdfast: what tests leave behind")
    group.addoption(
        "--holdfast",
        action="store_true",
        default=False,
        help="Fail each test that leaves a thread, task, child process or descriptor behind.",
    )
    parser.addini("holdfast", "Check every test, as --holdfast does.", type="bool", default=False)
    parser.addini(
        "holdfast_allow",
        "What may stay, one a line: '<thread|task|child|descriptor|socket> <pattern>: <reason>'.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "holdfast_patience",
        "Seconds that what is about to end gets after a test (1).",
        default="1",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker; start to check if every test is meant."""
    config.addinivalue_line(
        "markers",
        "holdfast(allow={pattern: reason}, skip=reason): fail this test if it leaves a thread, task,"
        " child process or descriptor behind; allow names what may stay, skip leaves the test out.",
    )
    if config.getoption("--holdfast") or config.getini("holdfast"):
        _start(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start to check if a test is marked."""
    if any(item.get_closest_marker("holdfast") for item in items):
        _start(config)


def _start(config: pytest.Config) -> None:
    if config.pluginmanager.has_plugin(_NAME):
        return
    from holdfast.testing.guard import LeakGuard  # noqa: PLC0415 - not before somebody asks for it

    every = bool(config.getoption("--holdfast") or config.getini("holdfast"))
    guard = LeakGuard(
        every=every,
        allow=config.getini("holdfast_allow"),
        patience=str(config.getini("holdfast_patience")),
    )
    config.pluginmanager.register(guard, _NAME)
    config.add_cleanup(guard.stop)
