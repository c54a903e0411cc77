"""The official SDKs over shared clients, against the model server."""

import asyncio

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncAzureOpenAI, AzureOpenAI

import holdfast
from holdfast.testing import ModelServer

pytestmark = pytest.mark.system

ASKED = [{"role": "user", "content": "<context>It is blue.</context> What is it?"}]


@pytest.fixture
async def server():
    """A model server in this loop that takes its time."""
    async with ModelServer(latency=0.02) as running:
        yield running


def claude(server, **options):
    return holdfast.http.anthropic(base_url=server.base_url, api_key="none", **options)


def gpt(server, **options):
    return holdfast.http.openai(base_url=server.openai_base_url, api_key="none", **options)


async def ask_claude(client):
    message = await client.messages.create(model="any", max_tokens=50, messages=ASKED)
    return message.content[0].text


async def ask_gpt(client):
    reply = await client.chat.completions.create(model="any", messages=ASKED)
    return reply.choices[0].message.content


async def test_calls_of_many_clients_share_a_few_connections(server):
    """Thirty objects of each SDK, three connections each, and every call is answered."""
    replies = await asyncio.gather(
        *(ask_claude(claude(server, limit=3)) for _ in range(30)),
        *(ask_gpt(gpt(server, limit=3)) for _ in range(30)),
    )

    assert all("blue" in reply for reply in replies)
    assert {(s.purpose, s.limit, s.peak_in_flight, s.requests) for s in holdfast.http.stats()} == {
        ("anthropic", 3, 3, 30),
        ("openai", 3, 3, 30),
    }


async def test_they_go_over_aiohttp(server):
    """It is installed here, and a thousand calls in flight want it."""
    client = claude(server)
    await ask_claude(client)

    transport = client._client._transport
    assert "aiohttp" in type(transport._inner).__module__


async def test_a_block_over_an_sdks_client_closes_nothing_of_others(server):
    """``async with AsyncAnthropic()`` is what its documentation shows."""
    async with claude(server) as client:
        await ask_claude(client)
    await client.close()

    assert "blue" in await ask_claude(claude(server))


async def test_streams_hold_their_place_until_they_are_read(server):
    """And give it back, read to the end or left early."""
    client = claude(server, limit=1)
    async with client.messages.stream(model="any", max_tokens=50, messages=ASKED) as stream:
        async for _ in stream.text_stream:
            assert holdfast.http.stats()[0].in_flight == 1
            break
    async with client.messages.stream(model="any", max_tokens=50, messages=ASKED) as stream:
        text = "".join([part async for part in stream.text_stream])

    assert "blue" in text
    assert holdfast.http.stats()[0].in_flight == 0


async def test_a_stream_that_is_forgotten_is_taken_back(server, caplog):
    """The next call has its turn, and the log has the line."""
    client = claude(server, limit=1, idle_timeout=0.2)
    forgotten = await client.messages.create(
        model="any", max_tokens=50, messages=ASKED, stream=True
    )
    assert holdfast.http.stats()[0].in_flight == 1

    assert "blue" in await ask_claude(client)

    assert "test_http_sdks.py" in caplog.text
    del forgotten


async def test_any_asynchronous_client_of_the_two_can_be_given(server):
    """Also those for other clouds, and the user's own class."""

    class Mine(AsyncAnthropic):
        pass

    mine = holdfast.http.client_for(Mine, base_url=server.base_url, api_key="none")
    assert isinstance(mine, Mine)
    assert "blue" in await ask_claude(mine)
    azure = holdfast.http.client_for(
        AsyncAzureOpenAI, "azure", azure_endpoint=server.base_url, api_key="x", api_version="1"
    )
    assert isinstance(azure, AsyncAzureOpenAI)
    with pytest.raises(TypeError, match="asynchronous"):
        holdfast.http.client_for(ValueError)


async def test_a_refusal_at_the_gate_reaches_the_caller_as_the_sdks_error(server):
    """Theirs is what programs catch; ours is its cause."""
    client = claude(server, limit=1, queue_timeout=0.05, idle_timeout=60.0, max_retries=0)
    holder = await client.messages.create(model="any", max_tokens=50, messages=ASKED, stream=True)

    with pytest.raises(Exception, match="Connection error") as refusal:
        await ask_claude(client)

    assert isinstance(refusal.value.__cause__, holdfast.QueueTimeout)
    await holder.close()


# ---------------------------------------------------------------- for blocking code


def ask_claude_blocking(server, **options):
    client = holdfast.http.blocking.anthropic(
        base_url=server.base_url, api_key="none", limit=3, **options
    )
    message = client.messages.create(model="any", max_tokens=50, messages=ASKED)
    return message.content[0].text


def ask_gpt_blocking(server):
    client = holdfast.http.blocking.openai(base_url=server.openai_base_url, api_key="none", limit=3)
    reply = client.chat.completions.create(model="any", messages=ASKED)
    return reply.choices[0].message.content


@pytest.fixture
def blocking_clients():
    yield holdfast.http.blocking
    holdfast.http.blocking.close()


async def test_calls_in_threads_share_a_few_connections(server, blocking_clients):
    """Thirty objects of each SDK in threads, three connections each, and every call is answered."""
    async with holdfast.ThreadPool(20) as threads:
        replies = await asyncio.gather(
            *(threads.run(ask_claude_blocking, server) for _ in range(30)),
            *(threads.run(ask_gpt_blocking, server) for _ in range(30)),
        )

    assert all("blue" in reply for reply in replies)
    shared = {(s.purpose, s.limit, s.requests) for s in blocking_clients.stats()}
    assert shared == {("anthropic", 3, 30), ("openai", 3, 30)}
    assert all(s.peak_in_flight <= 3 and s.in_flight == 0 for s in blocking_clients.stats())


async def test_idle_connections_of_an_sdk_in_threads_are_closed(server, blocking_clients):
    """The SDK's own client keeps them for as long as it likes; the sweeper is told otherwise."""
    assert "blue" in await asyncio.to_thread(ask_claude_blocking, server, keepalive=0.1)
    client = blocking_clients.anthropic(
        base_url=server.base_url, api_key="none", limit=3, keepalive=0.1
    )
    pool = client._client._transport._inner._pool

    async with asyncio.timeout(20):
        while pool.connections:
            await asyncio.sleep(0.01)


async def test_any_blocking_client_of_the_two_can_be_given(server, blocking_clients):
    """Also those for other clouds, and the user's own class; its end closes nothing of others."""

    class Mine(Anthropic):
        pass

    def ask():
        with blocking_clients.client_for(Mine, base_url=server.base_url, api_key="x") as mine:
            assert isinstance(mine, Mine)
            mine.messages.create(model="any", max_tokens=50, messages=ASKED)
        azure = blocking_clients.client_for(
            AzureOpenAI, "azure", azure_endpoint=server.base_url, api_key="x", api_version="1"
        )
        assert isinstance(azure, AzureOpenAI)
        again = blocking_clients.client_for(Mine, base_url=server.base_url, api_key="x")
        return again.messages.create(model="any", max_tokens=50, messages=ASKED)

    assert "blue" in (await asyncio.to_thread(ask)).content[0].text
