"""The demo's parts: its model, its tickets, and how it judges a run."""

import contextlib
import json
import sys
from collections import Counter

import children
import demo
import pytest
from demo_report import Results


def arguments(*given, monkeypatch):
    """Read a command line."""
    monkeypatch.setattr(sys, "argv", ["demo.py", *given])
    return demo.parse_arguments()


@pytest.fixture
def environment(monkeypatch):
    """An environment that names no model."""
    for name in ("MODEL_BASE_URL", "MODEL_PROTOCOL", "MODEL_NAME", *demo.KEYS):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def local_server(monkeypatch):
    """A local model server that is not really started; the list says for which ports."""
    ports = []

    @contextlib.contextmanager
    def started(port):
        ports.append(port)
        yield "http://127.0.0.1:9"

    monkeypatch.setattr(children, "model_server", started)
    return ports


def choose(*given, monkeypatch):
    """Choose the model for a command line."""
    with contextlib.ExitStack() as stack:
        return demo.choose_model(arguments(*given, monkeypatch=monkeypatch), stack)


def test_without_a_key_the_local_server_is_asked(environment, local_server):
    """It costs nothing."""
    asked = choose("--port", "8123", monkeypatch=environment)

    assert asked.is_local
    assert asked.environment["MODEL_BASE_URL"] == "http://127.0.0.1:9"
    assert local_server == [8123]


def test_with_a_key_the_real_model_is_asked_and_named(environment, local_server):
    """And no server is started."""
    environment.setenv("ANTHROPIC_API_KEY", "secret")

    asked = choose(monkeypatch=environment)

    assert not asked.is_local
    assert "api.anthropic.com" in asked.name
    assert "ANTHROPIC_API_KEY is set" in asked.name
    assert "secret" not in asked.name
    assert local_server == []


def test_a_url_is_asked_instead(environment, local_server):
    """Wherever it leads."""
    asked = choose("--base-url", "http://there:1", monkeypatch=environment)

    assert not asked.is_local
    assert asked.environment["MODEL_BASE_URL"] == "http://there:1"
    assert local_server == []


def test_local_means_local_and_the_key_stays_here(environment, local_server):
    """The child that needs no key gets none."""
    environment.setenv("OPENAI_API_KEY", "secret")

    asked = choose("--local", monkeypatch=environment)

    assert asked.is_local
    assert "secret" not in asked.environment.values()
    assert local_server == [0]


@pytest.mark.parametrize(
    "given",
    [
        ("--sessions", "0"),
        ("--limit", "-1"),
        ("--limit", "many"),
        ("--port", "x"),
        ("--local", "--base-url", "http://there:1"),
        ("questions.jsonl",),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(monkeypatch, capsys, given):
    """With the usage and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        arguments(*given, monkeypatch=monkeypatch)

    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_every_session_has_a_ticket_of_its_own(tmp_path, docs_agent):
    """The questions are asked in turn, as often as it takes."""
    count = len((docs_agent / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    path = tmp_path / "tickets.jsonl"

    expected = demo.write_tickets(path, 1_000)

    tickets = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [ticket["id"] for ticket in tickets] == list(expected)
    assert len(expected) == 1_000
    assert tickets[0]["question"] == tickets[count]["question"]
    assert (tickets[0]["id"], tickets[count]["id"]) == ("q001-1", "q001-2")
    assert expected["q001-1"] == "statistics.median"
    assert all(set(ticket) == {"id", "question"} for ticket in tickets)


def test_a_run_that_did_all_it_should_is_accepted():
    """Nothing is said."""
    demo.check(0, Results(answered=10), 10)


@pytest.mark.parametrize(
    ("code", "results", "sentence"),
    [
        (
            1,
            Results(7, errors=Counter({"ModelError: busy": 2, "OSError: no": 1})),
            "3 of 10 sessions failed, 2 of them by: ModelError: busy",
        ),
        (2, Results(), "holdfast map ended with exit code 2"),
        (-9, Results(4), "holdfast map ended with exit code -9"),
        (0, Results(9), "only 9 of 10 sessions have an answer"),
    ],
)
def test_a_run_that_did_not_is_an_error_in_one_sentence(code, results, sentence):
    """It says what went wrong most."""
    with pytest.raises(demo.DemoError, match=sentence):
        demo.check(code, results, 10)


def test_a_run_that_was_stopped_says_how_far_it_came(capsys):
    """And keeps the exit code of the signal."""
    code = demo.stop(130, {"unfinished": 0}, 12, 1_000)
    cut = demo.stop(143, {}, 3, 1_000)

    said = capsys.readouterr().err.splitlines()
    assert (code, cut) == (130, 143)
    assert said[0].endswith("after 12 of 1,000 sessions; all in flight were finished")
    assert said[1].endswith("after 3 of 1,000 sessions; some in flight did not end in time")


def test_a_folder_to_keep_is_emptied_of_the_last_runs_files_and_of_nothing_else(tmp_path):
    """It may hold other things."""
    for name in ("answers.jsonl", "exchanges.db", "mine.txt"):
        (tmp_path / name).touch()

    with demo.run_folder(tmp_path) as folder:
        (folder / "tickets.jsonl").touch()

    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "tickets.jsonl"}


def test_without_a_folder_to_keep_nothing_stays():
    """It goes with the run."""
    with demo.run_folder(None) as folder:
        (folder / "tickets.jsonl").touch()

    assert not folder.exists()
