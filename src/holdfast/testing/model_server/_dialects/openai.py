"""The OpenAI Chat Completions protocol."""

from collections.abc import Iterator

from holdfast.testing.model_server._answers.answer import Answer
from holdfast.testing.model_server._answers.prompt import Tool
from holdfast.testing.model_server._dialects.call import Call, Event, Ids
from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._dialects.openai_request import read_call
from holdfast.testing.model_server._jsontext import JsonObject, write

__all__ = ("OpenAI",)

MODEL = "holdfast-extract-1"
_ERRORS: dict[Kind, tuple[int, str, str | None]] = {
    Kind.INVALID: (400, "invalid_request_error", None),
    Kind.NOT_FOUND: (404, "invalid_request_error", "not_found"),
    Kind.METHOD: (405, "invalid_request_error", "method_not_supported"),
    Kind.RATE_LIMITED: (429, "requests", "rate_limit_exceeded"),
    Kind.INTERNAL: (500, "server_error", None),
    Kind.OVERLOADED: (503, "server_error", "overloaded"),
}
_FINISH_REASONS = {"end": "stop", "stop": "stop", "length": "length", "tool": "tool_calls"}


class OpenAI:
    """Reads and writes what the ``openai`` SDK speaks."""

    request_id_field = "x-request-id"

    read = staticmethod(read_call)

    def whole(self, call: Call, answer: Answer, ids: Ids) -> JsonObject:
        """Write a completion in one piece."""
        message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.tool is not None:
            message["content"] = None
            message["tool_calls"] = [_tool_call(answer.tool, answer.text, ids)]
        completion = _completion("chat.completion", call, ids)
        completion["choices"] = [_choice("message", message, _FINISH_REASONS[answer.finish])]
        completion["usage"] = _usage(call, answer)
        return completion

    def events(self, call: Call, answer: Answer, ids: Ids) -> Iterator[Event]:
        """Write a completion as chunks: the role, the tokens, the end, and ``[DONE]``."""
        opening: JsonObject = {"role": "assistant", "content": "", "refusal": None}
        if answer.tool is not None:
            opening["content"] = None
            opening["tool_calls"] = [{"index": 0, **_tool_call(answer.tool, "", ids)}]
        yield _chunk(call, ids, opening)
        for piece in answer.pieces():
            delta: JsonObject = {"content": piece}
            if answer.tool is not None:
                delta = {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            yield _chunk(call, ids, delta, token=True)
        yield _chunk(call, ids, {}, finish=_FINISH_REASONS[answer.finish])
        if call.include_usage:
            last = _completion("chat.completion.chunk", call, ids)
            last["choices"] = []
            last["usage"] = _usage(call, answer)
            yield _event(last)
        yield Event(token=False, data=b"data: [DONE]\n\n")

    def error(self, error: ApiError, ids: Ids) -> tuple[int, JsonObject]:
        """Write an error: its status and its body."""
        status, kind, code = _ERRORS[error.kind]
        described: JsonObject = {
            "message": str(error),
            "type": kind,
            "param": error.param,
            "code": code,
        }
        return status, {"error": described}

    def error_event(self, error: ApiError, ids: Ids) -> bytes:
        """Write an error that breaks off a stream."""
        _, body = self.error(error, ids)
        return _event(body).data

    def models(self) -> JsonObject:
        """Write the list of models."""
        return {"object": "list", "data": [_model()]}

    def model(self, name: str) -> JsonObject | None:
        """Write one model, or None if there is none of that name."""
        return _model() if name == MODEL else None


def _completion(kind: str, call: Call, ids: Ids) -> JsonObject:
    return {
        "id": f"chatcmpl-{ids.serial}",
        "object": kind,
        "created": ids.created,
        "model": call.model,
        "system_fingerprint": "fp_holdfast",
    }


def _choice(kind: str, said: JsonObject, finish: str | None) -> JsonObject:
    return {"index": 0, kind: said, "logprobs": None, "finish_reason": finish}


def _tool_call(tool: Tool, arguments: str, ids: Ids) -> JsonObject:
    return {
        "id": f"call_{ids.serial}",
        "type": "function",
        "function": {"name": tool.name, "arguments": arguments},
    }


def _usage(call: Call, answer: Answer) -> JsonObject:
    return {
        "prompt_tokens": call.prompt.input_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": call.prompt.input_tokens + answer.tokens,
    }


def _chunk(
    call: Call, ids: Ids, delta: JsonObject, *, finish: str | None = None, token: bool = False
) -> Event:
    chunk = _completion("chat.completion.chunk", call, ids)
    chunk["choices"] = [_choice("delta", delta, finish)]
    if call.include_usage:
        chunk["usage"] = None
    return _event(chunk, token=token)


def _event(data: JsonObject, *, token: bool = False) -> Event:
    return Event(token, f"data: {write(data)}\n\n".encode())


def _model() -> JsonObject:
    return {"id": MODEL, "object": "model", "created": 1_704_067_200, "owned_by": "holdfast"}
