"""The model server as a process: the command, and the blocking form of the class."""

import contextlib
import http.client
import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.testing import ModelServer

pytestmark = pytest.mark.system

COMMAND = [sys.executable, "-m", "holdfast.testing.model_server"]
ASKED = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Well?"}]}


@contextlib.contextmanager
def command(*flags: str, **options: object) -> Iterator["subprocess.Popen[str]"]:
    """Run the command; kill it if the test did not end it."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(url: str) -> int:
    """Call the model and return the status."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/v1/messages", json.dumps(ASKED))
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    return response.status


def listening(url: str) -> bool:
    """Tell whether somebody accepts connections there."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionError:  # refused, or reset while the listening socket closes
        return False
    return True


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_its_code(number: int, code: int):
    """The URL is the first line, the figures as JSON the last; nothing else is printed."""
    with command("--json") as process:
        url = process.stdout.readline().strip()
        status = ask(url)
        process.send_signal(number)
        said, complaints = process.communicate(timeout=20)

    assert status == 200
    assert process.returncode == code
    assert json.loads(said)["answered"] == 1
    assert complaints == ""


def test_without_json_the_figures_are_told_in_a_sentence():
    """Standard output has the URL only."""
    with command() as process:
        ask(process.stdout.readline().strip())
        process.terminate()
        said, complaints = process.communicate(timeout=20)

    assert said == ""
    assert complaints.startswith("1 calls: 1 answered, 0 errors")


def test_a_second_signal_does_not_wait_for_answers():
    """Who asks twice is in a hurry."""
    with command("--latency=600", "--grace=600") as process:
        url = process.stdout.readline().strip()
        host, _, port = url.removeprefix("http://").rpartition(":")
        body = json.dumps(ASKED)
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as client:
            client.sendall((head + body).encode())
            while b'"in_flight":1' not in _get(url, "/stats"):
                pass
            process.terminate()
            while listening(url):
                pass
            process.terminate()
            process.communicate(timeout=20)

    assert process.returncode == 143


def _get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_the_end_of_standard_input_can_end_the_command():
    """Exit code 0: that was asked for."""
    with command("--until-stdin-closes", "--json", stdin=subprocess.PIPE) as process:
        url = process.stdout.readline().strip()
        process.stdin.write("not yet")
        process.stdin.flush()
        status = ask(url)
        said, _ = process.communicate(timeout=20)

    assert (status, process.returncode) == (200, 0)
    assert json.loads(said)["requests"] == 1


@pytest.mark.parametrize(
    ("flags", "code", "complaint"),
    [
        (["--error-rate=2"], 2, "error_rate must be 0 to 1"),
        (["--latency=fast"], 2, "a latency is given as SECONDS"),
        (["--stall-mode=crawl"], 2, "stall_mode must be one of"),
        (["--hang-rate=0.6", "--stall-rate=0.6"], 2, "lower one of them"),
        (["--no-such-flag"], 2, "unrecognized arguments"),
        (["--until-stdin-closes"], 2, "needs a pipe or a terminal"),
        (["--host=no such host"], 1, "cannot listen on no such host port 0"),
    ],
)
def test_bad_usage_and_bad_addresses_get_one_sentence(flags: list[str], code: int, complaint: str):
    """No traceback, and a code that a script can use."""
    with command(*flags, stdin=subprocess.DEVNULL) as process:
        said, complaints = process.communicate(timeout=20)

    assert (process.returncode, said) == (code, "")
    assert complaint in complaints
    assert "Traceback" not in complaints


def test_a_port_that_is_taken_is_told():
    """With its number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command(f"--port={port}") as process:
            _, complaints = process.communicate(timeout=20)

    assert process.returncode == 1
    assert complaints.startswith(f"cannot listen on 127.0.0.1 port {port}: ")


def test_the_exit_code_stands_when_nobody_reads_the_figures():
    """A closed pipe is no failure of the server."""
    with command("--json") as process:
        process.stdout.readline()
        process.stdout.close()
        process.terminate()
        complaints = process.stderr.read()

    assert process.wait(20) == 143
    assert complaints == ""


def test_help_tells_every_option_with_its_default():
    """The help is complete and has no traces of formatting."""
    done = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "--help"], capture_output=True, text=True, check=True, timeout=20
    )

    assert "--token-latency LATENCY" in done.stdout
    assert "(default 4096)" in done.stdout
    assert "SIGTERM (143)" in done.stdout


# ---------------------------------------------------------------- the blocking form


def test_the_server_runs_while_the_block_does():
    """It answers inside, and is gone after it; the figures stay."""
    with ModelServer() as server:
        url = server.base_url
        status = ask(url)
        during = server.stats()

    assert status == 200
    assert (during.requests, during.answered) == (1, 1)
    assert server.stats().answered == 1
    assert not listening(url)


def test_a_block_that_raises_ends_the_server():
    """The error passes, the process does not stay."""
    server = ModelServer(hang_rate=1)
    urls: list[str] = []

    def block() -> None:
        with server:
            urls.append(server.base_url)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()

    assert not listening(urls[0])


def test_options_reach_the_process():
    """Whatever is set in Python holds in the child."""
    with ModelServer(host="localhost", rate_limit=1, latency="uniform:0:0.001", seed=5) as server:
        statuses = [ask(server.base_url), ask(server.base_url)]

    assert statuses == [200, 429]


def test_a_server_that_can_not_start_says_why():
    """The child's own words are in the error, and no child is left."""
    with (
        pytest.raises(RuntimeError, match=r"exit code 1\. It said: cannot listen on 192\.0\.2\.1"),
        ModelServer(host="192.0.2.1"),
    ):
        pass


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of the interpreter, and have little patience with it."""

    def say(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
        monkeypatch.setattr("holdfast.testing.model_server._child._START_S", 1.0)
        monkeypatch.setattr("holdfast.testing.model_server._child._STOP_S", 0.1)

    return say


def test_a_server_that_never_listens_is_given_up(python: Callable[[str], None]):
    """Starting has an end too, and the process does not stay."""
    python("echo busy >&2; exec sleep 60")

    with (
        pytest.raises(RuntimeError, match=r"did not listen within 1 s: .* running. It said: busy"),
        ModelServer(),
    ):
        pass


def test_a_server_that_does_not_end_is_killed(
    python: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    """It has no figures to tell; what it complained of is passed on."""
    python("echo help >&2; echo http://127.0.0.1:9; exec sleep 60")

    with ModelServer(grace=0) as server:
        url = server.base_url

    assert url == "http://127.0.0.1:9"
    assert capsys.readouterr().err == "help\n"
    with pytest.raises(RuntimeError, match="before it could count"):
        server.stats()


def test_a_server_whose_process_was_killed_is_told_from_one_that_counts():
    """stats() says what happened, and leaving the block still works."""
    with ModelServer() as server:
        process = server._running.child._process
        process.kill()
        process.wait()
        with pytest.raises(RuntimeError, match=r"does not answer .* exit code -9"):
            server.stats()

    with pytest.raises(RuntimeError, match="ended before it could count"):
        server.stats()


def test_a_server_does_not_outlive_a_parent_that_was_killed():
    """The child notices that its standard input has ended."""
    program = (
        "from holdfast.testing import ModelServer\n"
        "import time\n"
        "with ModelServer() as server:\n"
        "    print(server.base_url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        url = parent.stdout.readline().strip()
        was_there = listening(url)
        parent.kill()

    assert was_there
    while listening(url):
        pass


def test_two_thousand_idle_connections_are_held():
    """And one more is served at once."""
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 200
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"the hard limit of descriptors is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with ModelServer() as server, contextlib.ExitStack() as stack:
            host, _, port = server.base_url.removeprefix("http://").rpartition(":")
            clients = [
                stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
                for _ in range(count)
            ]
            for client in clients:
                client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
            first = [client.recv(100) for client in clients]
            held = server.stats().connections
            status = ask(server.base_url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert all(one.startswith(b"HTTP/1.1 200") for one in first)
    assert held == count + 1
    assert status == 200
