"""Runs a thousand sessions of the agent on this machine, and says what that took.

    python examples/docs_agent/demo.py

It builds the knowledge base (once), starts a local model server, writes the tickets, and hands the
rest to `holdfast map agent.py:answer`. No key and no package besides holdfast is needed.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import children
import demo_report
import knowledge
from children import DemoError
from model import ModelError, read_settings
from protocols import PROTOCOLS

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
LOCAL_SESSIONS = 1_000
REAL_SESSIONS = 20  # where an answer costs money, or minutes
KEYS = tuple(protocol.key_variable for protocol in PROTOCOLS.values())
BY_SIGNAL = 128  # what a shell adds to the number of the signal that ended a program


@dataclass(frozen=True, slots=True)
class Asked:
    """The model that is asked: its name for the report, and the environment that leads to it."""

    name: str
    is_local: bool
    environment: dict[str, str]


def main() -> int:
    """Run the demo and return its exit code."""
    arguments = parse_arguments()
    try:
        with children.ending_on_signals(), run_folder(arguments.keep) as folder:
            return run(arguments, folder)
    except (DemoError, ModelError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return BY_SIGNAL + signal.SIGINT


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Run many sessions of the documentation agent and say what that took."
    )
    parser.add_argument(
        "--sessions",
        type=positive,
        metavar="N",
        help=f"how many (default: {LOCAL_SESSIONS} with the local model server, "
        f"{REAL_SESSIONS} with another)",
    )
    parser.add_argument(
        "--limit", type=positive, default=50, metavar="N", help="most at once (default: 50)"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port of the local model server (default: a free one)"
    )
    parser.add_argument("--base-url", metavar="URL", help="ask the model there instead")
    parser.add_argument(
        "--local", action="store_true", help="use the local model server even if a key is set"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        nargs="?",
        const=OUT / "last",
        metavar="FOLDER",
        help="leave the tickets, the answers and the saved exchanges in FOLDER "
        "(default: examples/docs_agent/out/last)",
    )
    arguments = parser.parse_args()
    if arguments.local and arguments.base_url:
        parser.error("--local and --base-url name two different models: give one of them")
    return arguments


def positive(text: str) -> int:
    """Read a number of one or more."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(arguments: argparse.Namespace, folder: Path) -> int:
    """Run all of it, with a folder for the files that come and go."""
    entries = prepare_knowledge(folder)
    with contextlib.ExitStack() as stack:
        asked = choose_model(arguments, stack)
        sessions = arguments.sessions or (LOCAL_SESSIONS if asked.is_local else REAL_SESSIONS)
        expected = write_tickets(folder / "tickets.jsonl", sessions)
        print(f"{sessions:,} sessions, {arguments.limit} at once, with {asked.name}", flush=True)
        environment = {
            **asked.environment,
            "DOCS_AGENT_KNOWLEDGE": str(entries),
            "DOCS_AGENT_EXCHANGES": str(folder / "exchanges.db"),
        }
        code, summary = children.run_map(folder, arguments.limit, environment)
    results = demo_report.read_results(folder / "answers.jsonl", expected)
    if summary:
        print(f"\n{demo_report.describe(summary, results, asked.name)}\n", flush=True)
    if code > BY_SIGNAL:
        return stop(code, summary, results.answered, sessions)
    check(code, results, sessions)
    if arguments.keep:
        print(f"Tickets, answers and exchanges are in {folder}")
    return 0


@contextlib.contextmanager
def run_folder(keep: Path | None) -> Generator[Path, None, None]:
    """Yield a folder for this run's files: one to keep, or one that goes with the run."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="holdfast-docs-agent-") as name:
            yield Path(name)
        return
    keep.mkdir(parents=True, exist_ok=True)
    for name in ("tickets.jsonl", "answers.jsonl", "exchanges.db", "summary.json"):
        (keep / name).unlink(missing_ok=True)
    yield keep.resolve()


def prepare_knowledge(folder: Path) -> Path:
    """Return the path of the knowledge base, built now if this Python and this code have none.

    It is built in a process of its own, which takes the imported standard library with it.
    """
    writable = os.access(OUT if OUT.exists() else HERE, os.W_OK)
    path = knowledge.usual_path(OUT if writable else folder)
    if not knowledge.is_current(path):
        print("Reading the standard library's documentation ...", flush=True)
        command = [sys.executable, str(HERE / "knowledge.py"), str(path)]
        built = subprocess.run(  # noqa: S603 - this Python and a file of this folder
            command, capture_output=True, text=True, check=False
        )
        if built.returncode:
            raise DemoError(built.stderr.strip() or f"knowledge.py ended with {built.returncode}")
        print(built.stdout.strip(), flush=True)
    return path


def choose_model(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> Asked:
    """Find the model that the command line or the environment names, or start the local one."""
    environment = dict(os.environ)
    if arguments.base_url:
        environment["MODEL_BASE_URL"] = arguments.base_url
    named = any(environment.get(name) for name in ("MODEL_BASE_URL", *KEYS))
    if named and not arguments.local:
        settings = read_settings(environment)
        cost = f"; {settings.protocol.key_variable} is set" if settings.is_real else ""
        return Asked(f"{settings.model} at {settings.base_url}{cost}", False, environment)
    for name in ("MODEL_PROTOCOL", "MODEL_NAME", *KEYS):
        environment.pop(name, None)  # a key stays out of what needs none
    environment["MODEL_BASE_URL"] = stack.enter_context(children.model_server(arguments.port))
    return Asked("the local model server", True, environment)


def write_tickets(path: Path, sessions: int) -> dict[str, str]:
    """Write a ticket for each session and return what each of them expects, by its id.

    The questions are asked in turn, again and again, by sessions of different names.
    """
    with (HERE / "questions.jsonl").open(encoding="utf-8") as lines:
        questions: list[dict[str, str]] = [json.loads(line) for line in lines]
    expected: dict[str, str] = {}
    with path.open("w", encoding="utf-8") as tickets:
        for number, question in enumerate(itertools.islice(itertools.cycle(questions), sessions)):
            name = f"{question['id']}-{number // len(questions) + 1}"
            expected[name] = question["expect"]
            ticket = {"id": name, "question": question["question"]}
            tickets.write(f"{json.dumps(ticket, ensure_ascii=False)}\n")
    return expected


def stop(code: int, summary: Mapping[str, Any], answered: int, sessions: int) -> int:
    """Say how far a run came that a signal has ended, and return the exit code."""
    left = summary.get("unfinished", "some")
    flight = f"{left} in flight did not end in time" if left else "all in flight were finished"
    print(f"demo: stopped after {answered:,} of {sessions:,} sessions; {flight}", file=sys.stderr)
    return code


def check(code: int, results: demo_report.Results, sessions: int) -> None:
    """Accept a run that did all it should.

    Raises:
        DemoError: It did not; says why.
    """
    if results.errors:
        [(most, count)] = results.errors.most_common(1)
        failed = sum(results.errors.values())
        message = f"{failed:,} of {sessions:,} sessions failed, {count:,} of them by: {most}"
        raise DemoError(message)
    if code:
        message = f"holdfast map ended with exit code {code}; what it said stands above"
        raise DemoError(message)
    if results.answered != sessions:
        message = f"only {results.answered:,} of {sessions:,} sessions have an answer"
        raise DemoError(message)


if __name__ == "__main__":
    sys.exit(main())
