"""Reading what the OpenAI Chat Completions protocol asks."""

from holdfast.testing.model_server._answers.prompt import Piece, Prompt, Source, Tool, tokens_in
from holdfast.testing.model_server._dialects import fields
from holdfast.testing.model_server._dialects.call import Call
from holdfast.testing.model_server._dialects.fields import refuse
from holdfast.testing.model_server._jsontext import Json, JsonObject, write

__all__ = ("read_call",)

_ROLES: dict[str, Source] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_MOST_STOPS = 4
# Asked for and not given, these would leave a client waiting for a field that never comes.
_REFUSED = {
    "logprobs": "log probabilities are not given here",
    "audio": "only text is given here",
    "functions": "is out of date; give tools",
    "function_call": "is out of date; give tool_choice",
}


def read_call(body: JsonObject) -> Call:
    """Read a call of ``/v1/chat/completions``.

    Raises:
        ApiError: It asks for something impossible.
    """
    _refuse_what_is_not_here(body)
    options = body.get("stream_options")
    wanted = fields.object_(options, "stream_options") if options is not None else {}
    return Call(
        model=fields.model_name(body),
        prompt=_read_prompt(body),
        stream=fields.flag(body.get("stream"), "stream"),
        include_usage=fields.flag(wanted.get("include_usage"), "stream_options.include_usage"),
    )


def _refuse_what_is_not_here(body: JsonObject) -> None:
    count = body.get("n")
    if count is not None and (isinstance(count, bool) or count != 1):
        refuse("n", f"one answer is given per request; n must be 1, not {write(count)}")
    for name, reason in _REFUSED.items():
        if body.get(name):
            refuse(name, reason)
    fields.number_between(body, "temperature", 0, 2)
    fields.number_between(body, "top_p", 0, 1)


def _read_prompt(body: JsonObject) -> Prompt:
    messages = fields.items(body.get("messages"), "messages")
    if not messages:
        refuse("messages", "at least one message is required")
    pieces: list[Piece] = []
    for turn, message in enumerate(messages):
        pieces += _read_message(message, turn)
    characters = sum(len(piece.text) for piece in pieces)
    if body.get("tools"):
        characters += len(write(body["tools"]))
    return Prompt(
        pieces=tuple(pieces),
        must_call=_must_call(body, _read_tools(body)),
        schema=_output_schema(body),
        max_tokens=_max_tokens(body),
        stop=_stops(body),
        input_tokens=tokens_in(characters),
    )


def _read_message(given: Json, turn: int) -> list[Piece]:
    where = f"messages.{turn}"
    message = fields.object_(given, where)
    source = _ROLES.get(fields.text(message.get("role"), f"{where}.role"))
    if source is None:
        refuse(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if content is None and source == "assistant":
        calls = message.get("tool_calls")
        return [Piece(source, write(calls), turn)] if calls else []
    if isinstance(content, str):
        return [Piece(source, content, turn)]
    pieces: list[Piece] = []
    parts = fields.items(content, f"{where}.content")
    if not parts:
        refuse(f"{where}.content", "must be a string or a list of parts")
    for place, one in enumerate(parts):
        part = fields.object_(one, f"{where}.content.{place}")
        if fields.text(part.get("type"), f"{where}.content.{place}.type") == "text":
            said = fields.text(part.get("text"), f"{where}.content.{place}.text")
            pieces.append(Piece(source, said, turn))
    return pieces


def _max_tokens(body: JsonObject) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            return fields.tokens(body[name], name, least=1)
    return fields.MOST_TOKENS


def _stops(body: JsonObject) -> tuple[str, ...]:
    given = body.get("stop")
    stops = fields.text_list([given] if isinstance(given, str) else given, "stop")
    if len(stops) > _MOST_STOPS:
        refuse("stop", f"at most {_MOST_STOPS} are taken, not {len(stops)}")
    return stops


def _read_tools(body: JsonObject) -> list[Tool]:
    tools: list[Tool] = []
    for place, given in enumerate(fields.items(body.get("tools"), "tools")):
        where = f"tools.{place}"
        tool = fields.object_(given, where)
        if fields.text(tool.get("type"), f"{where}.type") != "function":
            continue  # a custom tool takes free text and is never called here
        function = fields.object_(tool.get("function"), f"{where}.function")
        name = fields.text(function.get("name"), f"{where}.function.name")
        described = function.get("description")
        parameters = function.get("parameters")
        tools.append(
            Tool(
                name,
                ""
                if described is None
                else fields.text(described, f"{where}.function.description"),
                {"type": "object"}
                if parameters is None
                else fields.object_(parameters, f"{where}.function.parameters"),
            )
        )
    return tools


def _must_call(body: JsonObject, tools: list[Tool]) -> tuple[Tool, ...]:
    choice = body.get("tool_choice")
    if choice is None or choice in ("auto", "none"):
        return ()
    if not tools:
        refuse("tool_choice", "may only be given with function tools")
    if choice == "required":
        return tuple(tools)
    described = fields.object_(choice, "tool_choice")
    kind = described.get("type")
    if kind == "allowed_tools":
        return _must_call_allowed(described, tools)
    if kind != "function":
        refuse("tool_choice", "must be none, auto, required, or name a function")
    return (_named(described, tools, "tool_choice"),)


def _must_call_allowed(choice: JsonObject, tools: list[Tool]) -> tuple[Tool, ...]:
    where = "tool_choice.allowed_tools"
    allowed = fields.object_(choice.get("allowed_tools"), where)
    if allowed.get("mode") != "required":
        return ()
    listed = fields.items(allowed.get("tools"), f"{where}.tools")
    return tuple(_named(fields.object_(one, f"{where}.tools"), tools, where) for one in listed)


def _named(choice: JsonObject, tools: list[Tool], where: str) -> Tool:
    function = fields.object_(choice.get("function"), f"{where}.function")
    name = fields.text(function.get("name"), f"{where}.function.name")
    named = [tool for tool in tools if tool.name == name]
    if not named:
        refuse(where, f"no function in tools is called {name!r}")
    return named[0]


def _output_schema(body: JsonObject) -> JsonObject | None:
    given = body.get("response_format")
    form = fields.object_(given, "response_format") if given is not None else {}
    kind = form.get("type")
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    if kind != "json_schema":
        return None
    described = fields.object_(form.get("json_schema"), "response_format.json_schema")
    return fields.object_(described.get("schema"), "response_format.json_schema.schema")
