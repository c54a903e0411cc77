"""Log handlers: one for each destination."""

import io
import logging
import logging.handlers

import pytest

from holdfast.track import add_log_handler, duplicate_log_handlers, guard_log_handlers


@pytest.fixture
def logger():
    """Give a logger of the test's own, and take its handlers away again."""
    found = logging.getLogger("agents.test")
    yield found
    for one in (found, logging.getLogger("agents")):
        for handler in list(one.handlers):
            one.removeHandler(handler)
            handler.close()


def _lines(path):
    return path.read_text().splitlines()


def test_a_second_handler_for_a_file_is_not_added(logger, tmp_path):
    """So adding can stand in a constructor: each record is written once."""
    path = tmp_path / "agent.log"
    handlers = [add_log_handler(logger, logging.FileHandler(path)) for _ in range(500)]
    logger.warning("once")

    assert len(set(map(id, handlers))) == 1
    assert len(logger.handlers) == 1
    assert _lines(path) == ["once"]


def test_a_handler_of_a_logger_above_counts_too(logger, tmp_path):
    """Its records reach it."""
    path = tmp_path / "agent.log"
    first = add_log_handler("agents", logging.FileHandler(path))

    assert add_log_handler(logger, logging.FileHandler(path)) is first
    logger.propagate = False
    second = add_log_handler(logger, logging.FileHandler(path))
    assert second is not first
    logger.propagate = True


def test_the_real_path_counts(logger, tmp_path):
    """A link leads to the same file."""
    (tmp_path / "link.log").symlink_to(tmp_path / "agent.log")
    add_log_handler(logger, logging.FileHandler(tmp_path / "agent.log"))
    add_log_handler(logger, logging.handlers.RotatingFileHandler(tmp_path / "link.log"))

    assert len(logger.handlers) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: logging.StreamHandler(STREAM), lambda: logging.StreamHandler(STREAM)),
        (
            lambda: logging.handlers.SocketHandler("localhost", 1),
            lambda: logging.handlers.SocketHandler("localhost", 1),
        ),
        (
            lambda: logging.handlers.HTTPHandler("localhost:1", "/log"),
            lambda: logging.handlers.HTTPHandler("localhost:1", "/log"),
        ),
    ],
    ids=["stream", "socket", "http"],
)
def test_other_destinations_are_known_too(logger, one, other):
    """The same stream, host and port, or address."""
    add_log_handler(logger, one())
    add_log_handler(logger, other())

    assert len(logger.handlers) == 1


STREAM = io.StringIO()


def test_what_writes_something_else_is_no_duplicate(logger, tmp_path):
    """Another level, another filter, an unknown kind, another file."""
    path = tmp_path / "agent.log"
    errors = logging.FileHandler(path)
    errors.setLevel("ERROR")
    filtered = logging.FileHandler(path)
    filtered.addFilter(lambda _: True)
    for handler in (
        logging.FileHandler(path),
        errors,
        filtered,
        logging.FileHandler(tmp_path / "other.log"),
        logging.NullHandler(),
        logging.NullHandler(),
        logging.handlers.SocketHandler("localhost", 1),
        logging.handlers.SocketHandler("localhost", 2),
        logging.handlers.DatagramHandler("localhost", 1),
    ):
        assert add_log_handler(logger, handler) is handler

    assert duplicate_log_handlers() == ()


def test_the_same_handler_twice_is_no_second_one(logger, tmp_path):
    """As with ``addHandler``, and it is not closed."""
    handler = logging.FileHandler(tmp_path / "agent.log")
    assert add_log_handler(logger, handler) is handler
    assert add_log_handler(logger, handler) is handler
    assert handler.stream is not None


def test_duplicates_are_found(logger, tmp_path):
    """With their destination, their number, and their loggers."""
    path = tmp_path / "agent.log"
    for _ in range(3):
        logger.addHandler(logging.FileHandler(path))
    logging.getLogger("agents").addHandler(logging.FileHandler(path))
    (found,) = duplicate_log_handlers()

    assert found.destination == str(path.resolve())
    assert found.count == 4
    assert set(found.loggers) == {"agents", "agents.test"}
    assert str(found).startswith("4 handlers write each record to ")


def test_a_guard_refuses_them_whoever_adds_them(logger, tmp_path, caplog):
    """It closes the new one, and tells both lines once."""
    path = tmp_path / "agent.log"
    with guard_log_handlers() as guard:
        for _ in range(5):
            logger.addHandler(logging.FileHandler(path))
        logger.warning("once")
    logger.addHandler(second := logging.FileHandler(path))

    assert guard.refused == 4
    assert _lines(path) == ["once"]
    assert len(logger.handlers) == 2  # the guard is away
    told = [record.getMessage() for record in caplog.records if record.name == "holdfast.track"]
    assert len(told) == 1
    assert told[0].count("test_log_handlers.py") == 2
    logger.removeHandler(second)
    second.close()


def test_a_guard_leaves_alone_what_has_been_put_over_it(monkeypatch):
    """Taking it away does not undo somebody else's change."""
    monkeypatch.setattr(logging.Logger, "addHandler", logging.Logger.addHandler)  # to be put back
    guard = guard_log_handlers()

    def other(self, handler):
        """Stand in for somebody else's change."""

    logging.Logger.addHandler = other
    guard.undo()
    guard.undo()
    assert logging.Logger.addHandler is other
