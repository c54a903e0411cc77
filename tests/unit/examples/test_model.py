"""Which model is asked, and what is made of its answer."""

import asyncio
import dataclasses

import pytest
import sdk
from http_client import HttpClient, Response
from model import Model, ModelError, Settings, open_client, read_answer, read_settings
from protocols import ANTHROPIC, OPENAI, PROTOCOLS

REPLIES = {
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Use "}, {"type": "text", "text": "sorted."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "openai": {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Use sorted."},
            }
        ],
    },
}
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}


@pytest.mark.parametrize(
    ("environment", "protocol", "url"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, ANTHROPIC, "https://api.anthropic.com/v1"),
        ({"OPENAI_API_KEY": "k"}, OPENAI, "https://api.openai.com/v1"),
        ({"MODEL_BASE_URL": "http://here:1"}, OPENAI, "http://here:1/v1"),
        ({"MODEL_BASE_URL": "http://here:1/api/v2/"}, OPENAI, "http://here:1/api/v2"),
        (
            {"MODEL_BASE_URL": "http://here:1", "MODEL_PROTOCOL": "anthropic"},
            ANTHROPIC,
            "http://here:1/v1",
        ),
        (
            {"MODEL_BASE_URL": "http://here:1", "ANTHROPIC_API_KEY": "k"},
            ANTHROPIC,
            "http://here:1/v1",
        ),
        (
            {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k", "MODEL_PROTOCOL": "openai"},
            OPENAI,
            "https://api.openai.com/v1",
        ),
    ],
)
def test_the_environment_says_which_model(environment, protocol, url):
    """A key is enough, and a URL is enough."""
    settings = read_settings(environment)

    assert (settings.protocol, settings.base_url) == (protocol, url)
    assert settings.model == protocol.model


def test_a_model_may_be_named():
    """Another than the usual one."""
    settings = read_settings({"OPENAI_API_KEY": "k", "MODEL_NAME": "mine"})

    assert settings.model == "mine"


def test_no_model_at_all_is_an_error_that_says_what_to_set():
    """All the ways are named."""
    with pytest.raises(ModelError, match=r"MODEL_BASE_URL.*ANTHROPIC_API_KEY or OPENAI_API_KEY"):
        read_settings({})


def test_an_unknown_protocol_is_an_error_that_names_the_known_ones():
    """It is not guessed."""
    with pytest.raises(ModelError, match="'grpc', which is none of: anthropic, openai"):
        read_settings({"MODEL_BASE_URL": "http://here:1", "MODEL_PROTOCOL": "grpc"})


def test_a_key_is_not_shown():
    """Neither in a log nor in a traceback."""
    assert "secret" not in repr(read_settings({"OPENAI_API_KEY": "secret"}))


@pytest.mark.parametrize(
    ("key", "installed", "kind"),
    [("k", True, sdk.Client), ("k", False, HttpClient), ("", True, HttpClient)],
)
def test_the_companys_package_is_used_with_a_key_and_where_it_is_installed(
    monkeypatch, key, installed, kind
):
    """The demo needs neither."""
    monkeypatch.setattr(sdk, "is_installed", lambda _protocol: installed)

    client = open_client(Settings(OPENAI, "http://here:1/v1", "m", key))

    assert isinstance(client, kind)


@pytest.mark.system
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
async def test_an_answer_comes_back_as_text(server, reply, protocol):
    """Through the small client, in either protocol."""
    server.replies = [reply(REPLIES[protocol.name])]
    model = Model(Settings(protocol, f"{server.url}/v1", "m"))

    text = await model.ask("Be short.", "How?")

    await model.close()
    [(path, _, body)] = server.requests
    assert text == "Use sorted."
    assert path == PATHS[protocol.name]
    assert body["model"] == "m"
    assert body["messages"][-1] == {"role": "user", "content": "How?"}
    assert "Be short." in (body.get("system"), body["messages"][0]["content"])


@pytest.mark.system
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
async def test_the_companys_package_gets_the_same_answer_on_the_same_path(server, reply, protocol):
    """With the key in its header."""
    pytest.importorskip(protocol.name)
    server.replies = [reply(REPLIES[protocol.name], content_type="application/json")]
    model = Model(Settings(protocol, f"{server.url}/v1", "m", "secret"))

    texts = await asyncio.gather(*(model.ask("Be short.", "How?") for _ in range(3)))

    await model.close()
    assert texts == ["Use sorted."] * 3
    assert {path for path, _, _ in server.requests} == {PATHS[protocol.name]}
    assert all("secret" in " ".join(headers.values()) for _, headers, _ in server.requests)


@pytest.mark.system
async def test_a_refusal_says_how_long_to_wait(server, reply):
    """`holdfast map --retries` reads it from the error."""
    server.replies = [reply({"error": "slow down"}, 429, retry_after="2.5")]
    model = Model(Settings(OPENAI, server.url, "m"))

    with pytest.raises(ModelError, match=r"answered 429: .*slow down") as caught:
        await model.ask("", "How?")

    await model.close()
    assert caught.value.retry_after == 2.5


@pytest.mark.system
async def test_a_model_that_is_not_there_is_a_model_error(unused_tcp_port):
    """Whatever the network called it."""
    model = Model(Settings(OPENAI, f"http://127.0.0.1:{unused_tcp_port}", "m"))

    with pytest.raises(ModelError, match=r"no answer from 127\.0\.0\.1"):
        await model.ask("", "How?")

    await model.close()


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "nan", ""])
def test_a_time_to_wait_that_is_no_number_of_seconds_is_none(header):
    """A date, or nonsense."""
    with pytest.raises(ModelError) as caught:
        read_answer(OPENAI, Response(503, {"retry-after": header}, b""))

    assert caught.value.retry_after is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content": 1, "choices": []}'])
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_an_answer_of_another_shape_is_an_error(protocol, body):
    """It is shown, and not taken for an empty answer."""
    with pytest.raises(ModelError, match=f"not {protocol.name}'s JSON"):
        read_answer(protocol, Response(200, {}, body))


def test_settings_can_not_be_changed_under_way():
    """All sessions ask the same model."""
    settings = read_settings({"OPENAI_API_KEY": "k"})

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.model = "other"
