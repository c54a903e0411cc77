"""The shapes of the two protocols, as far as the SDKs do not show them."""

import json

import pytest

from holdfast.testing.model_server._answers.answer import answer
from holdfast.testing.model_server._dialects.anthropic import Anthropic
from holdfast.testing.model_server._dialects.call import Ids
from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._dialects.openai import OpenAI

IDS = Ids("00ff", 1_700_000_000)
SAID = "What is it?"
TOOL = {
    "name": "find",
    "description": "Find.",
    "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}},
}
FUNCTION = {"type": "function", "function": {"name": "find", "parameters": TOOL["input_schema"]}}


def messages(**more):
    """Make an Anthropic request."""
    return {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": SAID}], **more}


def chat(**more):
    """Make an OpenAI request."""
    return {"model": "m", "messages": [{"role": "user", "content": SAID}], **more}


def refused(dialect, body):
    """Return the field for which the dialect refuses ``body``."""
    with pytest.raises(ApiError) as error:
        dialect.read(body)
    assert error.value.kind is Kind.INVALID
    return error.value.param


# ---------------------------------------------------------------- Anthropic


def test_an_anthropic_stream_has_the_events_of_the_protocol_in_order():
    """Start, one block with its deltas, the reason, stop; the data repeat the event's name."""
    call = Anthropic().read(messages(max_tokens=2, stream=True))

    sent = [one.data.decode() for one in Anthropic().events(call, answer(call.prompt), IDS)]
    names = [one.split("\n")[0].removeprefix("event: ") for one in sent]
    data = [json.loads(one.split("\ndata: ")[1]) for one in sent]

    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [one["type"] for one in data] == names
    assert all(one.endswith("\n\n") for one in sent)
    assert data[0]["message"]["usage"]["input_tokens"] == 3
    assert data[6] == {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    }


def test_an_anthropic_message_says_which_stop_sequence_ended_it():
    """Reason and sequence are told."""
    call = Anthropic().read(messages(stop_sequences=["given"]))

    message = Anthropic().whole(call, answer(call.prompt), IDS)

    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "given")
    assert message["content"] == [{"type": "text", "text": "No context was "}]
    assert message["usage"]["output_tokens"] == 4


def test_an_anthropic_tool_call_cut_short_has_no_input():
    """Arguments that were cut are no JSON, and are not made up."""
    call = Anthropic().read(messages(max_tokens=1, tools=[TOOL], tool_choice={"type": "any"}))

    message = Anthropic().whole(call, answer(call.prompt), IDS)

    assert message["stop_reason"] == "max_tokens"
    assert message["content"][0]["input"] == {}


def test_nothing_said_is_an_empty_content():
    """max_tokens 0 is allowed by the protocol and gives no block."""
    call = Anthropic().read(messages(max_tokens=0))

    message = Anthropic().whole(call, answer(call.prompt), IDS)

    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert [one.token for one in Anthropic().events(call, answer(call.prompt), IDS)] == [False] * 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "max_tokens"),
        (messages(model=""), "model"),
        (messages(model=3), "model"),
        (messages(messages=[]), "messages"),
        (messages(messages=None), "messages"),
        (messages(messages="hello"), "messages"),
        (messages(messages=["hello"]), "messages.0"),
        (messages(messages=[{"role": "robot", "content": "x"}]), "messages.0.role"),
        (messages(messages=[{"content": "x"}]), "messages.0.role"),
        (messages(messages=[{"role": "user", "content": ""}]), "messages.0.content"),
        (messages(messages=[{"role": "user"}]), "messages.0.content"),
        (messages(messages=[{"role": "user", "content": 5}]), "messages.0.content"),
        (messages(messages=[{"role": "user", "content": ["x"]}]), "messages.0.content.0"),
        (
            messages(messages=[{"role": "user", "content": [{"type": "text"}]}]),
            "messages.0.content.0.text",
        ),
        (
            messages(messages=[{"role": "user", "content": [{"text": "x"}]}]),
            "messages.0.content.0.type",
        ),
        (
            messages(messages=[{"role": "user", "content": [{"type": "tool_result"}]}]),
            "messages.0.content.0.tool_use_id",
        ),
        (messages(max_tokens=-1), "max_tokens"),
        (messages(max_tokens="5"), "max_tokens"),
        (messages(max_tokens=True), "max_tokens"),
        (messages(max_tokens=None), "max_tokens"),
        (messages(temperature=2), "temperature"),
        (messages(stream="yes"), "stream"),
        (messages(system=5), "system"),
        (messages(stop_sequences="x"), "stop_sequences"),
        (messages(stop_sequences=[""]), "stop_sequences"),
        (messages(stop_sequences=[1]), "stop_sequences.0"),
        (messages(tools=[{}]), "tools.0.name"),
        (messages(tools=[{"name": "a b", "input_schema": {}}]), "tools.0.name"),
        (messages(tools=[{"name": "a"}]), "tools.0.input_schema"),
        (messages(tool_choice={"type": "any"}), "tool_choice"),
        (messages(tools=[TOOL], tool_choice={"type": "some"}), "tool_choice.type"),
        (messages(tools=[TOOL], tool_choice={"type": "tool", "name": "other"}), "tool_choice.name"),
        (messages(tools=[TOOL], tool_choice="any"), "tool_choice"),
        (messages(output_config={"format": {}}), "output_config.format.schema"),
    ],
)
def test_a_bad_anthropic_request_is_refused_by_the_field(body, param):
    """The error names the field that is to blame."""
    assert refused(Anthropic(), body) == param


def test_what_anthropic_clients_send_is_accepted():
    """Blocks of every kind, cache marks, server tools and unknown options do no harm."""
    body = messages(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "data": "x"}},
                    {"type": "text", "text": "Look."},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "t", "name": "find", "input": {"q": "x"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "text", "text": "The sea was blue and calm."}],
                    }
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {
                            "type": "text",
                            "media_type": "text/plain",
                            "data": "Ships came.",
                        },
                    },
                    {"type": "text", "text": "How was the sea?"},
                ],
            },
        ],
        tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "auto"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "u"},
        temperature=1,
    )

    call = Anthropic().read(body)

    assert answer(call.prompt).text == "The sea was blue and calm."
    assert [piece.source for piece in call.prompt.pieces] == [
        "system",
        "user",
        "assistant",
        "tool",
        "document",
        "user",
    ]


def test_counted_tokens_are_the_input_tokens_of_the_answer():
    """count_tokens and usage agree, tools included."""
    body = messages(system="Be brief.", tools=[TOOL])

    counted = Anthropic().count_tokens(body)

    assert counted == {"input_tokens": Anthropic().read(body).prompt.input_tokens}
    assert counted["input_tokens"] > 20


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        (Kind.INVALID, 400, "invalid_request_error"),
        (Kind.NOT_FOUND, 404, "not_found_error"),
        (Kind.METHOD, 405, "invalid_request_error"),
        (Kind.RATE_LIMITED, 429, "rate_limit_error"),
        (Kind.INTERNAL, 500, "api_error"),
        (Kind.OVERLOADED, 529, "overloaded_error"),
    ],
)
def test_anthropic_errors_have_the_protocols_shape(kind, status, word):
    """Status, type, message and request id."""
    error = Anthropic().error(ApiError(kind, "why"), IDS)

    assert error == (
        status,
        {"type": "error", "error": {"type": word, "message": "why"}, "request_id": "req_00ff"},
    )


# ---------------------------------------------------------------- OpenAI


def test_an_openai_stream_opens_with_the_role_and_ends_with_done():
    """Role, tokens, reason, usage where asked for, and the end mark."""
    call = OpenAI().read(chat(max_tokens=2, stream=True, stream_options={"include_usage": True}))

    sent = [one.data.decode() for one in OpenAI().events(call, answer(call.prompt), IDS)]
    chunks = [json.loads(one.removeprefix("data: ")) for one in sent[:-1]]

    assert sent[-1] == "data: [DONE]\n\n"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [one["choices"][0]["delta"].get("content") for one in chunks[1:3]] == ["No c", "onte"]
    assert chunks[3]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "length",
    }
    assert (chunks[4]["choices"], chunks[4]["usage"]["completion_tokens"]) == ([], 2)
    assert {one["id"] for one in chunks} == {"chatcmpl-00ff"}
    assert all(one["usage"] is None for one in chunks[:4])


def test_an_openai_stream_has_no_usage_unless_asked_for():
    """Without the option no chunk speaks of usage."""
    call = OpenAI().read(chat(stream=True))

    sent = b"".join(one.data for one in OpenAI().events(call, answer(call.prompt), IDS))

    assert b"usage" not in sent


def test_streamed_tool_arguments_add_up():
    """The first chunk names the call, the others carry the arguments."""
    call = OpenAI().read(chat(stream=True, tools=[FUNCTION], tool_choice="required"))

    sent = [one.data for one in OpenAI().events(call, answer(call.prompt), IDS)]
    deltas = [json.loads(one[6:])["choices"][0]["delta"] for one in sent[:-1]]
    calls = [one["tool_calls"][0] for one in deltas if "tool_calls" in one]

    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("call_00ff", "find")
    assert json.loads("".join(one["function"]["arguments"] for one in calls)) == {"q": SAID}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        (chat(n=2), "n"),
        (chat(n=0), "n"),
        (chat(n=True), "n"),
        (chat(messages=[]), "messages"),
        (chat(messages=[{"role": "robot", "content": "x"}]), "messages.0.role"),
        (chat(messages=[{"role": "user"}]), "messages.0.content"),
        (chat(messages=[{"role": "user", "content": []}]), "messages.0.content"),
        (
            chat(messages=[{"role": "user", "content": [{"type": "text"}]}]),
            "messages.0.content.0.text",
        ),
        (chat(max_tokens=0), "max_tokens"),
        (chat(max_completion_tokens="9"), "max_completion_tokens"),
        (chat(temperature=3), "temperature"),
        (chat(top_p=-1), "top_p"),
        (chat(stop=["a"] * 5), "stop"),
        (chat(stop=""), "stop"),
        (chat(stop=4), "stop"),
        (chat(logprobs=True), "logprobs"),
        (chat(functions=[{}]), "functions"),
        (chat(stream_options=[]), "stream_options"),
        (chat(tools=[{}]), "tools.0.type"),
        (chat(tools=[{"type": "function"}]), "tools.0.function"),
        (chat(tool_choice="required"), "tool_choice"),
        (chat(tools=[FUNCTION], tool_choice="always"), "tool_choice"),
        (
            chat(tools=[FUNCTION], tool_choice={"type": "custom", "custom": {"name": "x"}}),
            "tool_choice",
        ),
        (
            chat(tools=[FUNCTION], tool_choice={"type": "function", "function": {"name": "x"}}),
            "tool_choice",
        ),
        (
            chat(response_format={"type": "json_schema", "json_schema": {}}),
            "response_format.json_schema.schema",
        ),
    ],
)
def test_a_bad_openai_request_is_refused_by_the_field(body, param):
    """The error names the field that is to blame."""
    assert refused(OpenAI(), body) == param


def test_n_above_one_is_refused_in_words():
    """The message says what is possible and what was asked for."""
    with pytest.raises(ApiError, match="n must be 1, not 3"):
        OpenAI().read(chat(n=3))


def test_what_openai_clients_send_is_accepted():
    """Parts, tool calls and results, custom tools and unknown options do no harm."""
    body = chat(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "x"}},
                    {"type": "text", "text": "How was the sea?"},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "The sea was blue and calm."},
        ],
        tools=[FUNCTION, {"type": "custom", "custom": {"name": "x"}}],
        tool_choice="auto",
        n=1,
        seed=4,
        user="u",
        logprobs=False,
    )

    call = OpenAI().read(body)

    assert answer(call.prompt).text == "The sea was blue and calm."


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "function": {"name": "find"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "find"}}],
            },
        },
    ],
)
def test_each_way_of_asking_for_a_tool_gets_it(choice):
    """Any, one by name, or one of some: the tool is called."""
    call = OpenAI().read(chat(tools=[FUNCTION], tool_choice=choice))

    completion = OpenAI().whole(call, answer(call.prompt), IDS)

    (said,) = completion["choices"]
    assert said["finish_reason"] == "tool_calls"
    assert said["message"]["content"] is None
    assert said["message"]["tool_calls"][0]["function"] == {
        "name": "find",
        "arguments": '{"q":"What is it?"}',
    }


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            {"type": "json_object"},
            {"answer": "No context was given. The question was: What is it?"},
        ),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"properties": {"n": {"type": "integer"}}}},
            },
            {"n": 1},
        ),
    ],
)
def test_a_response_format_is_kept(form, expected):
    """JSON was asked for, JSON comes."""
    call = OpenAI().read(chat(response_format=form))

    assert json.loads(answer(call.prompt).text) == expected


@pytest.mark.parametrize(
    ("kind", "status", "word", "code"),
    [
        (Kind.INVALID, 400, "invalid_request_error", None),
        (Kind.NOT_FOUND, 404, "invalid_request_error", "not_found"),
        (Kind.METHOD, 405, "invalid_request_error", "method_not_supported"),
        (Kind.RATE_LIMITED, 429, "requests", "rate_limit_exceeded"),
        (Kind.INTERNAL, 500, "server_error", None),
        (Kind.OVERLOADED, 503, "server_error", "overloaded"),
    ],
)
def test_openai_errors_have_the_protocols_shape(kind, status, word, code):
    """Status, message, type, param and code."""
    error = OpenAI().error(ApiError(kind, "why", param="p"), IDS)

    assert error == (
        status,
        {"error": {"message": "why", "type": word, "param": "p", "code": code}},
    )
