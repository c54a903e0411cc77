"""The official SDKs against the model server."""

import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from holdfast.testing import ModelServer

pytestmark = pytest.mark.system

SEA = "The sea was blue and calm."
CONTEXT = f"<context>The sky was grey. {SEA} Rain fell all day.</context>"
PROMPT = f"{CONTEXT}\n\nWhat colour was the sea?"
PROMPT_TOKENS = math.ceil(len(PROMPT) / 4)
ASKED = [{"role": "user", "content": PROMPT}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city"],
}
ARGUMENTS = {"city": "How will the weather be in Bergen?", "days": 3}
WEATHER = [{"role": "user", "content": ARGUMENTS["city"]}]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """One server process for all tests that need nothing special."""
    with ModelServer() as running:
        yield running


@pytest.fixture
def claude(server: ModelServer) -> Iterator[anthropic.Anthropic]:
    """A blocking Anthropic client."""
    with anthropic.Anthropic(base_url=server.base_url, api_key="none") as client:
        yield client


@pytest.fixture
async def async_claude(server: ModelServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """An async Anthropic client."""
    async with anthropic.AsyncAnthropic(base_url=server.base_url, api_key="none") as client:
        yield client


@pytest.fixture
def gpt(server: ModelServer) -> Iterator[openai.OpenAI]:
    """A blocking OpenAI client."""
    with openai.OpenAI(base_url=server.openai_base_url, api_key="none") as client:
        yield client


@pytest.fixture
async def async_gpt(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """An async OpenAI client."""
    async with openai.AsyncOpenAI(base_url=server.openai_base_url, api_key="none") as client:
        yield client


async def test_the_example_in_the_page_runs():
    """The first thing that a reader tries works as printed."""
    page = (Path(__file__).parents[2] / "docs" / "model_server.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}

    exec(example, names)  # noqa: S102 - our own page

    await names["test_the_agent_waits_when_it_is_told_to"]()


# ---------------------------------------------------------------- Anthropic


def test_anthropic_gets_a_message(claude: anthropic.Anthropic):
    """Text, reason, model, usage and ids are where the SDK looks for them."""
    message = claude.messages.create(model="claude", max_tokens=100, messages=ASKED)

    assert [block.text for block in message.content] == [SEA]
    assert (message.stop_reason, message.model, message.role) == ("end_turn", "claude", "assistant")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (PROMPT_TOKENS, 7)
    assert message.id.startswith("msg_")
    assert message._request_id.startswith("req_")


def test_anthropic_streams_raw_events(claude: anthropic.Anthropic):
    """create(stream=True) yields typed events in the protocol's order."""
    with claude.messages.create(model="m", max_tokens=2, messages=ASKED, stream=True) as stream:
        kinds = [event.type for event in stream]

    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_anthropic_accumulates_a_stream(async_claude: anthropic.AsyncAnthropic):
    """The pieces are the text, and the final message is that of a plain call."""
    async with async_claude.messages.stream(model="m", max_tokens=100, messages=ASKED) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    plain = await async_claude.messages.create(model="m", max_tokens=100, messages=ASKED)

    assert "".join(pieces) == SEA
    assert len(pieces) == final.usage.output_tokens == 7
    assert final.content[0].text == plain.content[0].text
    assert (final.stop_reason, final.usage) == (plain.stop_reason, plain.usage)


def test_anthropic_calls_the_tool_it_is_told_to(claude: anthropic.Anthropic):
    """Named by tool_choice, the tool is called with arguments that fit its schema."""
    tools = [{"name": "forecast", "description": "Weather of a city", "input_schema": SCHEMA}]
    choice = {"type": "tool", "name": "forecast"}

    plain = claude.messages.create(
        model="m", max_tokens=100, messages=WEATHER, tools=tools, tool_choice=choice
    )
    with claude.messages.stream(
        model="m", max_tokens=100, messages=WEATHER, tools=tools, tool_choice=choice
    ) as stream:
        streamed = stream.get_final_message()

    for message in (plain, streamed):
        (block,) = message.content
        assert (block.type, block.name, block.input) == ("tool_use", "forecast", ARGUMENTS)
        assert message.stop_reason == "tool_use"
    assert plain.content[0].id != streamed.content[0].id


def test_anthropic_goes_on_after_a_tools_result(claude: anthropic.Anthropic):
    """The message can be sent back, and the result is context for the next answer."""
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    first = claude.messages.create(
        model="m", max_tokens=100, messages=ASKED, tools=tools, tool_choice={"type": "any"}
    )
    result = {
        "type": "tool_result",
        "tool_use_id": first.content[0].id,
        "content": "It was a red sea.",
    }

    second = claude.messages.create(
        model="m",
        max_tokens=100,
        tools=tools,
        messages=[
            {"role": "user", "content": "What colour was the sea?"},
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ],
    )

    assert second.content[0].text == "It was a red sea."


def test_anthropic_honours_system_blocks_stop_sequences_and_max_tokens(claude: anthropic.Anthropic):
    """Text lists as system and content; where the answer stops, and why."""
    asked = {
        "model": "m",
        "system": [{"type": "text", "text": CONTEXT, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "What colour was the sea?"}]}
        ],
    }

    stopped = claude.messages.create(**asked, max_tokens=100, stop_sequences=["calm"])
    cut = claude.messages.create(**asked, max_tokens=2)

    assert (stopped.content[0].text, stopped.stop_reason) == (
        "The sea was blue and ",
        "stop_sequence",
    )
    assert stopped.stop_sequence == "calm"
    assert (cut.content[0].text, cut.stop_reason, cut.usage.output_tokens) == (
        "The sea ",
        "max_tokens",
        2,
    )


def test_anthropic_counts_tokens_and_lists_models(claude: anthropic.Anthropic):
    """The counts agree with usage; the model listed can be retrieved."""
    counted = claude.messages.count_tokens(model="m", messages=ASKED)
    (model,) = claude.models.list()

    assert counted.input_tokens == PROMPT_TOKENS
    assert claude.models.retrieve(model.id).display_name == model.display_name
    with pytest.raises(anthropic.NotFoundError, match="there is no model 'other'"):
        claude.models.retrieve("other")


def test_anthropic_raises_its_own_errors(claude: anthropic.Anthropic):
    """A bad request is BadRequestError, with the body and the request's id."""
    with pytest.raises(anthropic.BadRequestError, match="at least one message") as error:
        claude.messages.create(model="m", max_tokens=100, messages=[])

    assert error.value.body["error"]["type"] == "invalid_request_error"
    assert error.value.request_id == error.value.body["request_id"]


async def test_anthropic_structured_output_fits_its_schema(async_claude: anthropic.AsyncAnthropic):
    """A JSON schema for the output is filled with the answer."""
    message = await async_claude.messages.create(
        model="m",
        max_tokens=100,
        messages=ASKED,
        output_config={
            "format": {
                "type": "json_schema",
                "schema": {"properties": {"colour": {"type": "string"}}},
            }
        },
    )

    assert json.loads(message.content[0].text) == {"colour": SEA}


# ---------------------------------------------------------------- OpenAI


def test_openai_gets_a_completion(gpt: openai.OpenAI):
    """Text, reason, model, usage and ids are where the SDK looks for them."""
    completion = gpt.chat.completions.create(model="gpt", messages=ASKED)

    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == (SEA, "stop")
    assert completion.model == "gpt"
    assert completion.usage.prompt_tokens == PROMPT_TOKENS
    assert completion.usage.completion_tokens == 7
    assert completion.usage.total_tokens == PROMPT_TOKENS + 7
    assert completion._request_id.startswith("req_")


async def test_openai_streams_chunks(async_gpt: openai.AsyncOpenAI):
    """The deltas are the text; the last chunk has the usage that was asked for."""
    stream = await async_gpt.chat.completions.create(
        model="m", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    async with stream:
        chunks = [chunk async for chunk in stream]

    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(delta for delta in deltas if delta) == SEA
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == PROMPT_TOKENS + 7


def test_openai_accumulates_a_stream(gpt: openai.OpenAI):
    """The SDK's own helper puts the chunks together to a completion."""
    with gpt.chat.completions.stream(model="m", messages=ASKED) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()

    assert final.choices[0].message.content == SEA
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_openai_calls_the_tool_it_is_told_to(gpt: openai.OpenAI):
    """Plain and streamed, the arguments fit the schema."""
    asked = {
        "model": "m",
        "messages": WEATHER,
        "tools": [{"type": "function", "function": {"name": "forecast", "parameters": SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "forecast"}},
    }

    plain = gpt.chat.completions.create(**asked)
    with gpt.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()

    for completion in (plain, streamed):
        (choice,) = completion.choices
        (call,) = choice.message.tool_calls
        assert choice.finish_reason == "tool_calls"
        assert call.function.name == "forecast"
        assert json.loads(call.function.arguments) == ARGUMENTS


def test_openai_honours_system_parts_stop_and_max_tokens(gpt: openai.OpenAI):
    """Text parts; where the answer stops, and why."""
    asked = {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": CONTEXT}]},
            {"role": "user", "content": [{"type": "text", "text": "What colour was the sea?"}]},
        ],
    }

    stopped = gpt.chat.completions.create(**asked, stop=" and").choices[0]
    cut = gpt.chat.completions.create(**asked, max_completion_tokens=2).choices[0]

    assert (stopped.message.content, stopped.finish_reason) == ("The sea was blue", "stop")
    assert (cut.message.content, cut.finish_reason) == ("The sea ", "length")


def test_openai_parses_structured_output(gpt: openai.OpenAI):
    """A pydantic model is filled: the SDK's own helper gets what it asked for."""

    class Weather(pydantic.BaseModel):
        colour: str
        waves: list[int]

    completion = gpt.chat.completions.parse(model="m", messages=ASKED, response_format=Weather)

    assert completion.choices[0].message.parsed == Weather(colour=SEA, waves=[1])


def test_openai_raises_its_own_errors(gpt: openai.OpenAI):
    """Asking for two answers is a BadRequestError that names the field."""
    with pytest.raises(openai.BadRequestError, match="n must be 1, not 2") as error:
        gpt.chat.completions.create(model="m", messages=ASKED, n=2)

    assert error.value.param == "n"
    assert error.value.request_id.startswith("req_")


def test_openai_lists_models(gpt: openai.OpenAI):
    """The model listed can be retrieved."""
    (model,) = gpt.models.list()

    assert gpt.models.retrieve(model.id).owned_by == "holdfast"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("other")


def test_openai_without_v1_is_told_what_is_wrong(server: ModelServer):
    """The usual mistake has an answer that helps."""
    with (
        openai.OpenAI(base_url=server.base_url, api_key="none") as client,
        pytest.raises(openai.NotFoundError, match="base URL of an OpenAI client ends in /v1"),
    ):
        client.chat.completions.create(model="m", messages=ASKED)


# ---------------------------------------------------------------- when the service has a bad day


def create(client: anthropic.Anthropic | openai.OpenAI) -> object:
    """Call the model with either client."""
    if isinstance(client, anthropic.Anthropic):
        return client.messages.create(model="m", max_tokens=100, messages=ASKED)
    return client.chat.completions.create(model="m", messages=ASKED)


async def acreate(client: anthropic.AsyncAnthropic | openai.AsyncOpenAI) -> object:
    """Call the model with either async client."""
    if isinstance(client, anthropic.AsyncAnthropic):
        return await client.messages.create(model="m", max_tokens=100, messages=ASKED)
    return await client.chat.completions.create(model="m", messages=ASKED)


def test_rate_limit_errors_are_the_sdks_own():
    """429 is RateLimitError in both SDKs, with the header that says when to come again."""
    with (
        ModelServer(rate_limit=1, rate_period=60) as server,
        anthropic.Anthropic(base_url=server.base_url, api_key="none", max_retries=0) as claude,
        openai.OpenAI(base_url=server.openai_base_url, api_key="none", max_retries=0) as gpt,
    ):
        create(claude)
        with pytest.raises(anthropic.RateLimitError, match="over the rate limit of 1") as first:
            create(claude)
        with pytest.raises(openai.RateLimitError, match="over the rate limit of 1") as second:
            create(gpt)

    assert 1 <= int(first.value.response.headers["retry-after"]) <= 60
    assert 1 <= int(second.value.response.headers["retry-after"]) <= 60


async def test_the_sdks_come_again_after_retry_after():
    """Both SDKs wait as long as they are told, and then get their answer."""
    async with (
        ModelServer(rate_limit=1, rate_period=0.4) as server,
        anthropic.AsyncAnthropic(base_url=server.base_url, api_key="none", max_retries=9) as claude,
        openai.AsyncOpenAI(base_url=server.openai_base_url, api_key="none", max_retries=9) as gpt,
    ):
        # The second call of each comes at once after the first, and is refused first.
        for client in (claude, claude, gpt, gpt):
            await acreate(client)

    stats = server.stats()
    assert stats.answered == 4
    assert stats.rate_limited >= 2


def test_blocking_sdks_come_again_too():
    """The same from blocking code, against a child process."""
    with (
        ModelServer(rate_limit=1, rate_period=0.4) as server,
        anthropic.Anthropic(base_url=server.base_url, api_key="none", max_retries=9) as claude,
        openai.OpenAI(base_url=server.openai_base_url, api_key="none", max_retries=9) as gpt,
    ):
        for client in (claude, claude, gpt, gpt):
            create(client)

    assert server.stats().answered == 4
    assert server.stats().rate_limited >= 2


def test_server_errors_are_the_sdks_own():
    """500 is InternalServerError, and too much in flight is an overloaded service."""
    with (
        ModelServer(error_rate=1) as server,
        anthropic.Anthropic(base_url=server.base_url, api_key="none", max_retries=0) as claude,
        openai.OpenAI(base_url=server.openai_base_url, api_key="none", max_retries=0) as gpt,
    ):
        seen = set()
        for client in [claude] * 12 + [gpt] * 12:
            with pytest.raises(
                (anthropic.InternalServerError, openai.InternalServerError)
            ) as error:
                create(client)
            seen.add((type(client).__name__, error.value.status_code))

    assert seen == {("Anthropic", 500), ("Anthropic", 529), ("OpenAI", 500), ("OpenAI", 503)}


def test_a_request_too_large_is_the_sdks_own_error():
    """413 arrives although the client was still sending."""
    large = [{"role": "user", "content": "x" * 3_000_000}]
    with (
        ModelServer(max_request_bytes=1000) as server,
        anthropic.Anthropic(base_url=server.base_url, api_key="none", max_retries=0) as claude,
        pytest.raises(anthropic.APIStatusError, match="over 1000 bytes") as error,
    ):
        claude.messages.create(model="m", max_tokens=100, messages=large)

    assert error.value.status_code == 413


def test_a_hanging_service_is_a_timeout():
    """The client's own timeout ends the wait."""
    with (
        ModelServer(hang_rate=1) as server,
        anthropic.Anthropic(
            base_url=server.base_url, api_key="none", max_retries=0, timeout=0.2
        ) as claude,
        pytest.raises(anthropic.APITimeoutError),
    ):
        create(claude)


async def test_a_broken_answer_is_a_connection_error():
    """An answer cut off in the middle is not taken for an answer."""
    async with (
        ModelServer(disconnect_rate=1) as server,
        anthropic.AsyncAnthropic(base_url=server.base_url, api_key="none", max_retries=0) as claude,
        openai.AsyncOpenAI(base_url=server.openai_base_url, api_key="none", max_retries=0) as gpt,
    ):
        with pytest.raises(anthropic.APIConnectionError):
            await acreate(claude)
        with pytest.raises(openai.APIConnectionError):
            await acreate(gpt)


async def test_an_error_in_a_stream_reaches_the_reader():
    """After some tokens the SDK raises what the stream says."""
    async with (
        ModelServer(stream_error_rate=1) as server,
        anthropic.AsyncAnthropic(base_url=server.base_url, api_key="none") as claude,
        openai.AsyncOpenAI(base_url=server.openai_base_url, api_key="none") as gpt,
    ):
        with pytest.raises(anthropic.APIStatusError, match="overloaded"):
            async with claude.messages.stream(model="m", max_tokens=100, messages=ASKED) as first:
                await first.get_final_message()
        with pytest.raises(openai.APIError, match="overloaded"):
            async with gpt.chat.completions.stream(model="m", messages=ASKED) as second:
                await second.get_final_completion()


async def test_a_stream_that_is_left_early_leaves_nothing_on_the_server():
    """The SDK closes its connection, and the server its answer."""
    async with (
        ModelServer(token_latency=60) as server,
        anthropic.AsyncAnthropic(base_url=server.base_url, api_key="none") as claude,
        claude.messages.stream(model="m", max_tokens=100, messages=ASKED) as stream,
    ):
        async for _ in stream.text_stream:
            break

    assert (server.stats().in_flight, server.stats().unfinished) == (0, 1)
