"""Reading what the Anthropic Messages protocol asks."""

import re

from holdfast.testing.model_server._answers.prompt import Piece, Prompt, Source, Tool, tokens_in
from holdfast.testing.model_server._dialects import fields
from holdfast.testing.model_server._dialects.call import Call
from holdfast.testing.model_server._dialects.fields import refuse
from holdfast.testing.model_server._jsontext import Json, JsonObject, write

__all__ = ("read_call", "read_prompt")

_ROLES: dict[str, Source] = {"user": "user", "assistant": "assistant", "system": "system"}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def read_call(body: JsonObject) -> Call:
    """Read a call of ``/v1/messages``.

    Raises:
        ApiError: It asks for something impossible.
    """
    if "max_tokens" not in body:
        refuse("max_tokens", "field required")
    return Call(
        model=fields.model_name(body),
        prompt=read_prompt(body, fields.tokens(body["max_tokens"], "max_tokens", least=0)),
        stream=fields.flag(body.get("stream"), "stream"),
    )


def read_prompt(body: JsonObject, max_tokens: int) -> Prompt:
    """Read what ``/v1/messages`` and ``/v1/messages/count_tokens`` have in common."""
    fields.number_between(body, "temperature", 0, 1)
    pieces = [Piece("system", one, -1) for one in _texts(body.get("system"), "system")]
    messages = fields.items(body.get("messages"), "messages")
    if not messages:
        refuse("messages", "at least one message is required")
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
        refuse(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
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
        refuse(f"{where}.content", "must not be empty")
    return pieces


def _read_block(given: Json, role: Source, turn: int, where: str) -> list[Piece]:
    """Read a content block; of those that hold no text, only the form is looked at."""
    block = fields.object_(given, where)
    kind = fields.text(block.get("type"), f"{where}.type")
    if kind == "text":
        return [Piece(role, fields.text(block.get("text"), f"{where}.text"), turn)]
    if kind == "tool_result":
        fields.text(block.get("tool_use_id"), f"{where}.tool_use_id")
        return [
            Piece("tool", one, turn) for one in _texts(block.get("content"), f"{where}.content")
        ]
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
            refuse(f"{where}.name", "must be 1 to 128 letters, digits, _ or -")
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
        refuse("tool_choice.type", "must be one of auto, any, tool, none")
    if not tools:
        refuse("tool_choice", "may only be given with tools")
    if kind == "any":
        return tuple(tools)
    name = fields.text(choice.get("name"), "tool_choice.name")
    named = tuple(tool for tool in tools if tool.name == name)
    if not named:
        refuse("tool_choice.name", f"no tool in tools is called {name!r}")
    return named[:1]


def _output_schema(body: JsonObject) -> JsonObject | None:
    given = body.get("output_config")
    form = fields.object_(given, "output_config").get("format") if given is not None else None
    if form is None:
        return None
    described = fields.object_(form, "output_config.format")
    return fields.object_(described.get("schema"), "output_config.format.schema")
