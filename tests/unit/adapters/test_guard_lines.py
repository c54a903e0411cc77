"""Of which line an accepted connection is."""

import socket
import sysconfig
from contextlib import ExitStack

import pytest

from holdfast.adapters.guard.lines import Lines

_LIBRARY = compile(
    "def serve(accept, listener):\n    return accept(listener)\n",
    f"{sysconfig.get_path('stdlib')}/library.py",
    "exec",
)


@pytest.fixture
def lines():
    found = Lines()
    yield found
    found.close()


@pytest.fixture
def accept(lines):
    """``accept`` as it is under guard."""
    return lines.accepting(socket.socket.accept, lambda _: False)


@pytest.fixture
def serve():
    """A function of a library, which accepts for whoever calls it."""
    scope = {}
    exec(_LIBRARY, scope)  # noqa: S102 - code of no file
    return scope["serve"]


def test_connections_that_a_library_accepts_are_of_who_called_it_for_their_listener(
    lines, accept, serve
):
    """The library's line is the same for both."""

    def one(listener):
        return serve(accept, listener)

    def other(listener):
        return serve(accept, listener)

    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        made = []
        for _ in range(2):
            for take, listener in zip((one, other), listeners, strict=True):
                stack.enter_context(socket.create_connection(listener.getsockname()))
                made.append(stack.enter_context(take(listener)[0]))
        places = [lines.places()[each.fileno()].rpartition(".")[2] for each in made]

    assert places == ["one", "other"] * 2


def test_a_connection_of_the_same_listener_at_another_line_is_of_that_line(lines, accept):
    """What is remembered of a listener is of one line."""

    def one(listener):
        return accept(listener)

    def other(listener):
        return accept(listener)

    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        made = []
        for take in (one, other, one):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            made.append(stack.enter_context(take(listener)[0]))
        places = [lines.places()[each.fileno()].rpartition(".")[2] for each in made]

    assert places == ["one", "other", "one"]
