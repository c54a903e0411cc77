"""Where each request goes: the paths, their methods, and whose protocol an error is told in."""

import logging
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import unquote

from holdfast._core import clock
from holdfast.testing.model_server._calls import Calls
from holdfast.testing.model_server._dialects import fields
from holdfast.testing.model_server._dialects.anthropic import Anthropic
from holdfast.testing.model_server._dialects.call import Dialect, Ids
from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._dialects.openai import OpenAI
from holdfast.testing.model_server._http.head import Head, HttpError
from holdfast.testing.model_server._http.reader import Request
from holdfast.testing.model_server._http.reply import Reply, reply_head
from holdfast.testing.model_server._jsontext import JsonObject, read, write
from holdfast.testing.model_server._options import Options
from holdfast.testing.model_server._replies import error_reply, id_field, json_reply
from holdfast.testing.model_server._stats import Counters

__all__ = ("Service",)

_Route: TypeAlias = Callable[[Request, Ids], Reply]

logger = logging.getLogger("holdfast.testing.model_server")


class Service:
    """Answers every request: routes it, and turns what goes wrong into an error of its dialect."""

    def __init__(self, options: Options, counters: Counters) -> None:
        self._counters = counters
        self._calls = Calls(options, counters)
        self._logs = options.access_log
        self._seed = options.seed
        self._served = 0
        self._anthropic = Anthropic()
        self._openai = OpenAI()
        self._routes: dict[str, dict[str, _Route]] = {
            "/": _get(self._describe),
            "/stats": _get(self._stats),
            "/v1/models": _get(self._models),
            "/v1/messages": {"POST": self._messages},
            "/v1/messages/count_tokens": {"POST": self._count_tokens},
            "/v1/chat/completions": {"POST": self._chat_completions},
        }

    # ------------------------------------------------------------ what a connection asks

    def handle(self, request: Request) -> Reply:
        """Answer a request; never raises."""
        head = request.head
        self._served += 1
        ids = Ids(f"{self._seed:08x}{self._served:016x}", int(clock.wall()))
        try:
            reply = self._route(head)(request, ids)
        except ApiError as error:
            reply = error_reply(error, to=head, dialect=self._dialect(head), ids=ids)
        except Exception:  # whatever a request sets off, its client gets an answer
            logger.exception("the model server failed on %s %s", head.method, head.path)
            failed = ApiError(Kind.INTERNAL, "the model server failed on this request; see its log")
            reply = error_reply(failed, to=head, dialect=self._dialect(head), ids=ids)
        return self._logged(reply, head) if self._logs else reply

    def refuse(self, error: HttpError) -> Reply:
        """Answer what could not be read as a request, in a shape that both dialects can read."""
        self._counters.add("malformed")
        described: JsonObject = {
            "type": "invalid_request_error",
            "message": str(error),
            "param": None,
            "code": None,
        }
        data = write({"type": "error", "error": described}).encode()
        head = reply_head(
            error.status,
            (("content-type", "application/json"),),
            to=None,
            length=len(data),
            keep_alive=False,
        )
        if self._logs:
            logger.info("refused %d %s", error.status, error)
        return Reply(error.status, iter([(0.0, head + data)]), keep_alive=False)

    # ------------------------------------------------------------ routing

    def _route(self, head: Head) -> _Route:
        methods = self._routes.get(head.path)
        if methods is None and head.path.startswith("/v1/models/"):
            methods = _get(self._model)
        if methods is None:
            msg = (
                f"nothing is served at {head.path}; there are {', '.join(self._routes)}. The base "
                "URL of an OpenAI client ends in /v1, that of an Anthropic client does not"
            )
            raise ApiError(Kind.NOT_FOUND, msg)
        if head.method not in methods:
            allow = ", ".join(methods)
            msg = f"{head.method} is not allowed on {head.path}; use {allow}"
            raise ApiError(Kind.METHOD, msg, allow=allow)
        return methods[head.method]

    def _dialect(self, head: Head) -> Dialect:
        if head.path.startswith("/v1/messages") or "anthropic-version" in head.fields:
            return self._anthropic
        return self._openai

    def _logged(self, reply: Reply, head: Head) -> Reply:
        began, tell = clock.now(), reply.ended

        def ended(whole: bool) -> None:
            tell(whole)
            how = "" if whole else " (not sent to its end)"
            took = clock.now() - began
            logger.info("%s %s %d %.3fs%s", head.method, head.path, reply.status, took, how)

        reply.ended = ended
        return reply

    # ------------------------------------------------------------ endpoints

    def _messages(self, request: Request, ids: Ids) -> Reply:
        return self._call(request, self._anthropic, ids)

    def _chat_completions(self, request: Request, ids: Ids) -> Reply:
        return self._call(request, self._openai, ids)

    def _call(self, request: Request, dialect: Dialect, ids: Ids) -> Reply:
        try:
            body = _body(request)
        except ApiError:
            self._counters.add("requests")
            self._counters.add("bad_requests")
            raise
        return self._calls.take(body, to=request.head, dialect=dialect, ids=ids)

    def _count_tokens(self, request: Request, ids: Ids) -> Reply:
        body = self._anthropic.count_tokens(_body(request))
        return json_reply(body, to=request.head, fields=(id_field(self._anthropic, ids),))

    def _models(self, request: Request, ids: Ids) -> Reply:
        dialect = self._dialect(request.head)
        return json_reply(dialect.models(), to=request.head, fields=(id_field(dialect, ids),))

    def _model(self, request: Request, ids: Ids) -> Reply:
        dialect = self._dialect(request.head)
        name = unquote(request.head.path.removeprefix("/v1/models/"))
        model = dialect.model(name)
        if model is None:
            msg = f"there is no model {name!r}; GET /v1/models lists what there is"
            raise ApiError(Kind.NOT_FOUND, msg, param="model")
        return json_reply(model, to=request.head, fields=(id_field(dialect, ids),))

    def _stats(self, request: Request, _ids: Ids) -> Reply:
        return json_reply(self._counters.snapshot().to_json(), to=request.head)

    def _describe(self, request: Request, _ids: Ids) -> Reply:
        served: JsonObject = {
            "server": "holdfast.testing.model_server",
            "endpoints": {path: ", ".join(methods) for path, methods in self._routes.items()},
        }
        return json_reply(served, to=request.head)


def _get(route: _Route) -> dict[str, _Route]:
    return {"GET": route, "HEAD": route}


def _body(request: Request) -> JsonObject:
    try:
        body = read(request.body)
    except ValueError as error:
        msg = f"the body is not JSON in UTF-8: {error}"
        raise ApiError(Kind.INVALID, msg) from None
    return fields.object_(body, "body")
