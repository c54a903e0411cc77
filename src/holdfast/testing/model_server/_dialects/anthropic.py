"""The Anthropic Messages protocol."""

import re
from collections.abc import Iterator

from holdfast.testing.model_server._answers.answer import Answer
from holdfast.testing.model_server._answers.prompt import Piece, Prompt, Source, Tool, tokens_in
from holdfast.testing.model_server._dialects import fields
from holdfast.testing.model_server._dialects.call import Call, Event, Ids
from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._dialects.fields import invalid
from holdfast.testing.model_server._json import Json, JsonObject, read, write

__all__ = ("Anthropic",)

MODEL = "holdfast-extract-1"
_ROLES: dict[str, Source] = {"user": "user", "assistant": "assistant", "system": "system"}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ERRORS: dict[Kind, tuple[int, str]] = {
    "invalid": (400, "invalid_request_error"),
    "not_found": (404, "not_found_error"),
    "method": (405, "invalid_request_error"),
    "rate_limited": (429, "rate_limit_error"),
    "internal": (500, "api_error"),
    "overloaded": (529, "overloaded_error"),
}
_STOP_REASONS = {"end": "end_turn", "stop": "stop_sequence", "length": "max_tokens", "tool": "tool_use"}


class Anthropic:
    """Reads and writes what the ``anthropic`` SDK speaks."""

    request_id_field = "request-id"

    # ------------------------------------------------------------ reading

    def read(self, body: JsonObject) -> Call:
        """Read a call of ``/v1/messages``."""
        if "max_tokens" not in body:
            raise invalid("max_tokens", "field required")
        return Call(
            model=fields.model_name(body),
            prompt=self.read_prompt(body, fields.tokens(body["max_tokens"], "max_tokens", least=0)),
            stream=fields.flag(body.get("stream"), "stream"),
        )

    def read_prompt(self, body: JsonObject, max_tokens: int) -> Prompt:
        """Read what ``/v1/messages`` and ``/v1/messages/count_tokens`` have in common."""
        fields.number_between(body, "temperature", 0, 1)
        pieces = [Piece("system", one, -1) for one in _texts(body.get("system"), "system")]
        messages = fields.items(body.get("messages"), "messages")
        if not messages:
            raise invalid("messages", "at least one message is required")
        for turn, message in enumerate(messages):
            pieces += _read_message(message, turn)
        tools = _read_tools(body)
        characters = sum(len(piece.text) for piece in pieces)
        if body.get("tools"):
            characters += len(write(body["tools"]))
        return Prompt(
            pieces=tuple(pieces),
            must_call=_must_call(body, tools),
            schema=_output_schema(body),
            max_tokens=max_tokens,
            stop=fields.text_list(body.get("stop_sequences"), "stop_sequences"),
            input_tokens=tokens_in(characters),
        )

    # ------------------------------------------------------------ writing

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
            yield _event("content_block_start", {"index": 0, "content_block": _empty_block(answer, ids)})
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
        return {"input_tokens": self.read_prompt(body, fields.MOST_TOKENS).input_tokens}


# ---------------------------------------------------------------- reading


def _texts(content: Json, where: str) -> list[str]:
    """Read a text, or a list of text blocks; null is nothing."""
    if content is None or isinstance(content, str):
        return [content] if content else []
    found: list[str] = []
    for place, given in enumerate(fields.items(content, where)):
        block = fields.object_(given, f"{where}.{place}")
        if block.get("type") == "text":
            found.append(fields.text(block.get("text"), f"{where}.{place}.text"))
    return found


def _read_message(given: Json, turn: int) -> list[Piece]:
    where = f"messages.{turn}"
    message = fields.object_(given, where)
    role = _ROLES.get(fields.text(message.get("role"), f"{where}.role"))
    if role is None:
        raise invalid(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if isinstance(content, str):
        pieces = [Piece(role, content, turn)]
    else:
        blocks = fields.items(content, f"{where}.content")
        pieces = [
            piece
            for place, block in enumerate(blocks)
            for piece in _read_block(block, role, turn, f"{where}.content.{place}")
        ]
    if not content and role != "assistant":
        raise invalid(f"{where}.content", "must not be empty")
    return pieces


def _read_block(given: Json, role: Source, turn: int, where: str) -> list[Piece]:
    """Read a content block; of those that hold no text, only the form is looked at."""
    block = fields.object_(given, where)
    kind = fields.text(block.get("type"), f"{where}.type")
    if kind == "text":
        return [Piece(role, fields.text(block.get("text"), f"{where}.text"), turn)]
    if kind == "tool_result":
        fields.text(block.get("tool_use_id"), f"{where}.tool_use_id")
        return [Piece("tool", one, turn) for one in _texts(block.get("content"), f"{where}.content")]
    if kind == "tool_use":
        name = fields.text(block.get("name"), f"{where}.name")
        return [Piece("assistant", f"{name} {write(block.get('input'))}", turn)]
    if kind == "document":
        source = fields.object_(block.get("source"), f"{where}.source")
        held = source.get("data") if source.get("type") == "text" else source.get("content")
        return [Piece("document", one, turn) for one in _texts(held, f"{where}.source")]
    return []


def _read_tools(body: JsonObject) -> list[Tool]:
    tools: list[Tool] = []
    for place, given in enumerate(fields.items(body.get("tools"), "tools")):
        where = f"tools.{place}"
        tool = fields.object_(given, where)
        name = fields.text(tool.get("name"), f"{where}.name")
        if _TOOL_NAME.fullmatch(name) is None:
            raise invalid(f"{where}.name", "must be 1 to 128 letters, digits, _ or -")
        described = fields.text(tool.get("description", ""), f"{where}.description")
        # The vendor's own tools come with a type and without a schema.
        own = tool.get("type") not in {None, "custom"}
        schema = {} if own else fields.object_(tool.get("input_schema"), f"{where}.input_schema")
        tools.append(Tool(name, described, schema or {"type": "object"}))
    return tools


def _must_call(body: JsonObject, tools: list[Tool]) -> tuple[Tool, ...]:
    given = body.get("tool_choice")
    if given is None:
        return ()
    choice = fields.object_(given, "tool_choice")
    kind = fields.text(choice.get("type"), "tool_choice.type")
    if kind in {"auto", "none"}:
        return ()
    if kind not in {"any", "tool"}:
        raise invalid("tool_choice.type", "must be one of auto, any, tool, none")
    if not tools:
        raise invalid("tool_choice", "may only be given with tools")
    if kind == "any":
        return tuple(tools)
    name = fields.text(choice.get("name"), "tool_choice.name")
    named = tuple(tool for tool in tools if tool.name == name)
    if not named:
        raise invalid("tool_choice.name", f"no tool in tools is called {name!r}")
    return named[:1]


def _output_schema(body: JsonObject) -> JsonObject | None:
    given = body.get("output_config")
    form = fields.object_(given, "output_config").get("format") if given is not None else None
    if form is None:
        return None
    described = fields.object_(form, "output_config.format")
    return fields.object_(described.get("schema"), "output_config.format.schema")


# ---------------------------------------------------------------- writing


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
