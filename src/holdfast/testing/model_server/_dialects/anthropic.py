"""The Anthropic Messages protocol."""

from collections.abc import Iterator

from holdfast.testing.model_server._answers.answer import Answer
from holdfast.testing.model_server._dialects import fields
from holdfast.testing.model_server._dialects.anthropic_request import read_call, read_prompt
from holdfast.testing.model_server._dialects.call import Call, Event, Ids
from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._jsontext import JsonObject, read, write

__all__ = ("Anthropic",)

MODEL = "holdfast-extract-1"
_ERRORS: dict[Kind, tuple[int, str]] = {
    Kind.INVALID: (400, "invalid_request_error"),
    Kind.NOT_FOUND: (404, "not_found_error"),
    Kind.METHOD: (405, "invalid_request_error"),
    Kind.RATE_LIMITED: (429, "rate_limit_error"),
    Kind.INTERNAL: (500, "api_error"),
    Kind.OVERLOADED: (529, "overloaded_error"),
}
_STOP_REASONS = {
    "end": "end_turn",
    "stop": "stop_sequence",
    "length": "max_tokens",
    "tool": "tool_use",
}


class Anthropic:
    """Reads and writes what the ``anthropic`` SDK speaks."""

    request_id_field = "request-id"

    read = staticmethod(read_call)

    def whole(self, call: Call, answer: Answer, ids: Ids) -> JsonObject:
        """Write a message in one piece."""
        message = self._message(call, ids)
        message["content"] = [_block(answer, ids)] if answer.text else []
        message["stop_reason"] = _STOP_REASONS[answer.finish]
        message["stop_sequence"] = answer.stop
        message["usage"] = _usage(call, answer.tokens)
        return message

    def events(self, call: Call, answer: Answer, ids: Ids) -> Iterator[Event]:
        """Write a message as events: start, one content block, its deltas, stop."""
        start = self._message(call, ids)
        start["usage"] = _usage(call, min(1, answer.tokens))
        yield _event("message_start", {"message": start})
        if answer.text:
            yield _event(
                "content_block_start", {"index": 0, "content_block": _empty_block(answer, ids)}
            )
            yield _event("ping", {})
            for piece in answer.pieces():
                delta: JsonObject = (
                    {"type": "input_json_delta", "partial_json": piece}
                    if answer.tool
                    else {"type": "text_delta", "text": piece}
                )
                yield _event("content_block_delta", {"index": 0, "delta": delta}, token=True)
            yield _event("content_block_stop", {"index": 0})
        ending: JsonObject = {
            "stop_reason": _STOP_REASONS[answer.finish],
            "stop_sequence": answer.stop,
        }
        usage: JsonObject = {"output_tokens": answer.tokens}
        yield _event("message_delta", {"delta": ending, "usage": usage})
        yield _event("message_stop", {})

    def _message(self, call: Call, ids: Ids) -> JsonObject:
        return {
            "id": f"msg_{ids.serial}",
            "type": "message",
            "role": "assistant",
            "model": call.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def error(self, error: ApiError, ids: Ids) -> tuple[int, JsonObject]:
        """Write an error: its status and its body."""
        status, kind = _ERRORS[error.kind]
        described: JsonObject = {"type": kind, "message": str(error)}
        return status, {"type": "error", "error": described, "request_id": f"req_{ids.serial}"}

    def error_event(self, error: ApiError, ids: Ids) -> bytes:
        """Write an error that breaks off a stream."""
        _, body = self.error(error, ids)
        return _event("error", body).data

    def models(self) -> JsonObject:
        """Write the list of models."""
        return {"data": [_model()], "has_more": False, "first_id": MODEL, "last_id": MODEL}

    def model(self, name: str) -> JsonObject | None:
        """Write one model, or None if there is none of that name."""
        return _model() if name == MODEL else None

    def count_tokens(self, body: JsonObject) -> JsonObject:
        """Count the tokens of a prompt, as ``usage`` would."""
        fields.model_name(body)
        return {"input_tokens": read_prompt(body, fields.MOST_TOKENS).input_tokens}


def _empty_block(answer: Answer, ids: Ids) -> JsonObject:
    if answer.tool is None:
        return {"type": "text", "text": ""}
    return {"type": "tool_use", "id": f"toolu_{ids.serial}", "name": answer.tool.name, "input": {}}


def _block(answer: Answer, ids: Ids) -> JsonObject:
    block = _empty_block(answer, ids)
    if answer.tool is None:
        block["text"] = answer.text
    elif answer.finish == "tool":  # cut at max_tokens, the arguments are not to be had
        block["input"] = read(answer.text.encode())
    return block


def _usage(call: Call, output_tokens: int) -> JsonObject:
    return {
        "input_tokens": call.prompt.input_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def _event(kind: str, data: JsonObject, *, token: bool = False) -> Event:
    line = write({"type": kind, **data})
    return Event(token, f"event: {kind}\ndata: {line}\n\n".encode())


def _model() -> JsonObject:
    return {
        "type": "model",
        "id": MODEL,
        "display_name": "holdfast's local model",
        "created_at": "2024-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_tokens": fields.MOST_TOKENS,
    }
