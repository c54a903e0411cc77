"""A real ``strands-agents`` agent whose record of what is in flight is a SingleFlight.

The framework asks its controller three things: begin (is this a duplicate of what is in flight?), wait for
it, and complete. ``FlightController`` answers them from a flight; the lock that the framework keeps around
an invocation stays its own.
"""

import asyncio
import threading

from strands import Agent, tool
from strands.agent._concurrency import _ConcurrencyController
from strands.models import Model
from strands.types.agent import ConcurrentInvocationMode
from strands.types.exceptions import IdempotencyAbortedError

from holdfast.errors import Aborted, QueueFull
from holdfast.flow.single_flight import SingleFlight

__all__ = ("FlightController", "ScriptedModel", "agent_with", "text_reply", "tool_call")


class Token:
    """A key of any object that can be compared: the framework does not ask that it can be hashed."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value

    def __hash__(self):
        return 0  # one key is in flight at a time

    def __repr__(self):
        return repr(self.value)


class Duplicate:
    """What a duplicate is given: something to await, and an outcome to read after that."""

    error = None
    result = None

    def __init__(self, ticket):
        self._ticket = ticket

    async def register_waiter(self):
        """Wait, holding no thread, for up to the flight's timeout."""
        try:
            self.result = await self._ticket.join()
        except Aborted as error:
            raise IdempotencyAbortedError(str(error)) from error


class FlightController(_ConcurrencyController):
    """The framework's controller, with a flight for a record."""

    def __init__(self, mode, flight):
        super().__init__(mode)
        self.flight = flight

    def _check_idempotency(self, token):
        if token is None or self.mode != ConcurrentInvocationMode.THROW:
            return None, None
        try:
            ticket = self.flight.begin(Token(token))
        except QueueFull:
            return None, None  # another token: the caller will not get the lock
        if not ticket.leads:
            return Duplicate(ticket), None
        ticket.running_here()
        return None, ticket

    def complete(self, ticket, *, result=None, error=None):
        if ticket is None:
            return
        if error is not None:
            ticket.fail(error)
        elif result is not None:
            ticket.settle(result)
        else:
            ticket.abort("the primary invocation ended without a result")


def text_reply(text):
    """The events of a model that answers."""
    return [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockStart": {"start": {}}},
        {"contentBlockDelta": {"delta": {"text": text}}},
        {"contentBlockStop": {}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]


def tool_call(name):
    """The events of a model that calls a tool without arguments."""
    return [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": "t1"}}}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}}},
        {"contentBlockStop": {}},
        {"messageStop": {"stopReason": "tool_use"}},
    ]


class ScriptedModel(Model):
    """A model in this process: gives its replies in turn, each when it is let go.

    Args:
        replies: Lists of events, or errors to raise. The last one is given again and again.
        wait: Whether each call waits until ``let_go`` is set.
    """

    def __init__(self, *replies, wait=False):
        self.calls = 0
        self.called = threading.Event()
        self.let_go = threading.Event()
        self._replies = replies
        self._wait = wait

    def update_config(self, **model_config):
        """Nothing can be set."""

    def get_config(self):
        """Nothing is set."""
        return {}

    async def structured_output(self, *args, **kwargs):
        """Not asked for here."""
        raise NotImplementedError
        yield

    async def stream(self, *args, **kwargs):
        """Answer like a provider's stream."""
        reply = self._replies[min(self.calls, len(self._replies) - 1)]
        self.calls += 1
        self.called.set()
        while self._wait and not self.let_go.is_set():
            await asyncio.sleep(0.001)
        if isinstance(reply, BaseException):
            raise reply
        for event in reply:
            await asyncio.sleep(0)
            yield event


def agent_with(model, *functions, flight=None, **options):
    """An agent that says nothing on the terminal, with a flight under it unless told otherwise."""
    agent = Agent(
        model=model,
        tools=[tool(function) for function in functions],
        callback_handler=None,
        **options,
    )
    if flight is None:
        flight = SingleFlight(scope="object", name="agent", timeout=30)
    agent._concurrency = FlightController(agent._concurrency.mode, flight)
    return agent
