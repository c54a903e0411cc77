"""A local model server, so that a test, a demo or a benchmark needs no key and no network.

In a test: ``async with ModelServer() as server`` or, in blocking code, ``with ModelServer() as
server``; then give ``server.base_url`` to an Anthropic client, ``server.openai_base_url`` to an
OpenAI client. In a shell: ``python -m holdfast.testing.model_server --help``.

Inside: ``_http`` speaks HTTP/1.1 and knows nothing of models; ``_dialects`` reads and writes the
two protocols; ``_answers`` turns a prompt into an answer; ``_calls`` puts them together with
latency, limits and faults; ``_service`` routes; ``_model_server``, ``_child`` and ``_command`` are
how it is run.
"""

from holdfast.testing.model_server._latency import Latency
from holdfast.testing.model_server._model_server import ModelServer
from holdfast.testing.model_server._stats import ServerStats

__all__ = ("Latency", "ModelServer", "ServerStats")
