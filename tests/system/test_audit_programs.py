"""``holdfast audit`` from outside: programs that leak are told, and healthy ones are left alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.sense import family

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

START = """
import asyncio, concurrent.futures, http.client, http.server, logging, os, resource, select, socket
import sqlite3, subprocess, sys, tempfile, threading, time, urllib.request
held = []
def ready():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def audited(tmp_path):
    """Start a program, look at it once it is ready, and let it go."""

    def look(program, *options, **popen):
        child = subprocess.Popen(  # noqa: S603 - this interpreter, with a program of ours
            [sys.executable, "-c", START + program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            **popen,
        )
        try:
            assert child.stdout.readline() == "ready\n"
            answer = audit(str(child.pid), "--json", "--confirm", "0.3", *options)
        finally:
            child.communicate(timeout=30)
        return answer.returncode, json.loads(answer.stdout)

    return look


def audit(*arguments, **options):
    """Run the command."""
    return subprocess.run(  # noqa: S603 - this interpreter, with our command
        [sys.executable, "-m", "holdfast", "audit", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **options,
    )


def worse(told):
    """What was found beyond notes: code and evidence."""
    return {
        each["code"]: each["evidence"] for each in told["findings"] if each["severity"] != "note"
    }


HEALTHY = {
    "an idle server": """
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
ready()
""",
    "a busy server with two hundred clients": """
async def serve(reader, writer):
    while await reader.readline():
        writer.write(b"ok\\n")
        await writer.drain()
async def call(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"go\\n")
        await reader.readline()
        await asyncio.sleep(0.05)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if (child := os.fork()) == 0:
        os.execv(sys.executable, [sys.executable, "-c", CLIENTS, str(port)])
    await asyncio.sleep(1.0)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os.kill(child, 9)
    os.waitpid(child, 0)
CLIENTS = '''
import asyncio, sys
async def call(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"go\\\\n")
        await reader.readline()
        await asyncio.sleep(0.05)
async def main():
    await asyncio.gather(*(call(int(sys.argv[1])) for _ in range(200)))
asyncio.run(main())
'''
asyncio.run(main())
""",
    "a server that closes each connection": """
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
stop = threading.Event()
def ask():
    while not stop.is_set():
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
            answer.read()
askers = [threading.Thread(target=ask) for _ in range(4)]
for one in askers: one.start()
time.sleep(0.5)
ready()
stop.set()
for one in askers: one.join()
""",
    "pools of threads and processes": """
def nothing(n): return n
pool = concurrent.futures.ThreadPoolExecutor(32)
list(pool.map(nothing, range(1000)))
with concurrent.futures.ProcessPoolExecutor(4) as processes:
    list(processes.map(abs, range(100)))
    ready()
pool.shutdown()
""",
    "ten connections to a database": """
held += [sqlite3.connect("sessions.db") for _ in range(10)]
for one in held: one.execute("PRAGMA journal_mode=WAL")
held[0].execute("CREATE TABLE t (a)")
for one in held: one.execute("SELECT * FROM t").fetchall()
ready()
""",
    "a batch of subprocesses": """
held += [subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(10)]
for _ in range(20): subprocess.run(["true"], check=True)
ready()
for one in held:
    one.kill()
    one.communicate()
""",
    "temporary files and logs": """
logging.basicConfig(filename="agent.log")
logging.getLogger().addHandler(logging.FileHandler("errors.log"))
held += [tempfile.TemporaryFile() for _ in range(5)]
ready()
""",
    "an agent with a pool of holdfast": """
import holdfast
async def main():
    async def session(n):
        return await db.run(time.sleep, 0.01)
    async with db:
        async for _ in holdfast.stream(session, range(200), limit=50):
            pass
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
db = holdfast.ThreadPool(10, name="db")
asyncio.run(main())
""",
    "a warm-up that has levelled off": """
cache = {n: str(n) * 10 for n in range(200_000)}
held += [socket.socketpair() for _ in range(20)]
held += [open(__import__("os").__file__) for _ in range(10)]
ready()
""",
    "a client with idle connections": """
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
server.RequestHandlerClass.protocol_version = "HTTP/1.1"
server.RequestHandlerClass.log_message = lambda *_: None
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in range(20):
    one = http.client.HTTPConnection("127.0.0.1", server.server_port)
    one.request("GET", "/")
    one.getresponse().read()
    held.append(one)
ready()
""",
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_left_alone(audited, name):
    """Nothing is found that is worse than a note, and the exit code says so."""
    code, told = audited(HEALTHY[name])

    assert worse(told) == {}
    assert code == 0


def bad_in_tree(pid):
    """What is found beyond notes in a process and its descendants."""
    answer = audit(str(pid), "--json", "--tree", "--confirm", "0.3")
    assert answer.returncode in {0, 1}, answer.stderr
    return [worse(each) for each in json.loads(answer.stdout)["processes"] if worse(each)]


def test_a_test_run_is_healthy(tmp_path):
    """Looked at in the middle of a test."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    print('ready', file=sys.__stderr__, flush=True)\n"
        "    sys.stdin.read(1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        child.stderr.readline()
        bad = bad_in_tree(child.pid)
        child.communicate("x", timeout=30)

    assert bad == []


def test_the_demo_is_healthy_under_load(tmp_path):
    """Fifty sessions at once, with a model server as its child."""
    demo = str(ROOT / "examples" / "docs_agent" / "demo.py")
    with subprocess.Popen(  # noqa: S603 - as above
        [sys.executable, demo, "--local", "--sessions", "2000", "--keep", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        while max(each.threads or 0 for each in family(child.pid)) < 5:  # until it is at work
            assert child.poll() is None
        bad = bad_in_tree(child.pid)
        child.send_signal(signal.SIGINT)
        child.wait(timeout=40)

    assert bad == []


LEAKING = {
    "responses that are not closed": (
        """
server = socket.create_server(("127.0.0.1", 0), backlog=100)
for _ in range(40):
    held.append(socket.create_connection(server.getsockname()))
    server.accept()[0].close()
print(server.getsockname()[1], file=sys.stderr)
ready()
""",
        "close-wait",
        "127.0.0.1:",
    ),
    "a log handler for each start": (
        'held += [logging.FileHandler("agent.log") for _ in range(12)]\nready()',
        "duplicated-log",
        "agent.log (12)",
    ),
    "a connection for each session": (
        """
for _ in range(40):
    held.append(sqlite3.connect("sessions.db"))
    held[-1].execute("SELECT * FROM sqlite_master").fetchall()
ready()
""",
        "sqlite-connections",
        "sessions.db (40)",
    ),
    "children that nobody waits for": (
        """
held += [subprocess.Popen(["true"]) for _ in range(8)]
for one in held: os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
ready()
""",
        "zombies",
        "true (8)",
    ),
    "pipes of tools that have ended": (
        """
for _ in range(60):
    one = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    one.wait()
    held.append(one)
ready()
""",
        "pipes",
        None,
    ),
    "tools that go on": (
        """
held += [subprocess.Popen(["sleep", "61"]) for _ in range(60)]
ready()
for one in held:
    one.kill()
    one.wait()
""",
        "many-children",
        "sleep 61 (60)",
    ),
    "a pool for each call": (
        """
stop = threading.Event()
for _ in range(250):
    concurrent.futures.ThreadPoolExecutor(1).submit(stop.wait)
print("ready", flush=True)
sys.stdin.read()
stop.set()
""",
        "many-threads",
        "(251)",
    ),
    "files without a with block": (
        'held += [open(f"{n}.csv", "w") for n in range(300)]\nready()',
        "many-files",
        ".csv (300)",
    ),
    "a loop for each call": (
        "held += [asyncio.new_event_loop() for _ in range(40)]\nready()\nfor one in held: one.close()",
        "event-loops",
        None,
    ),
    "deleted files": (
        "held += [tempfile.TemporaryFile(dir='.') for _ in range(60)]\nready()",
        "deleted-files",
        None,
    ),
    "descriptors that are nearly used up": (
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
while len(held) < 90: held.append(os.open(os.devnull, os.O_RDONLY))
ready()
""",
        "descriptors-nearly-used-up",
        "device (",
    ),
}


@pytest.mark.parametrize("name", LEAKING)
def test_a_leaking_program_is_told_with_who_it_is(audited, name):
    """The finding is there, names what is held, and the exit code says that there is one."""
    program, code, who = LEAKING[name]

    exit_code, told = audited(program)

    assert code in worse(told), told["findings"]
    assert exit_code == 1
    if who is not None:
        assert any(who in each for each in worse(told)[code])


def test_a_tree_is_looked_at_with_all_its_descendants(audited):
    """What a child leaks is found there, under its own number."""
    code, told = audited(
        f"""
child = subprocess.Popen([sys.executable, "-c", '''
import logging, sys
held = [logging.FileHandler("agent.log") for _ in range(12)]
print("up", flush=True)
sys.stdin.read()
'''], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
ready()
child.communicate()
{""}""",
        "--tree",
    )

    assert code == 1
    assert [sorted(worse(each)) for each in told["processes"]] == [[], ["duplicated-log"]]


def test_a_process_that_is_not_there_is_a_sentence():
    """Exit code 2, and no traceback."""
    with subprocess.Popen(["true"]) as gone:  # noqa: S607 - of the system
        gone.wait()
    answer = audit(str(gone.pid))

    assert answer.returncode == 2
    assert "it has ended" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_zombie_is_a_sentence_that_names_its_parent():
    """Nothing is left of it to look at."""
    with subprocess.Popen(["true"]) as ended:  # noqa: S607 - of the system
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        answer = audit(str(ended.pid))

    assert answer.returncode == 2
    assert f"its parent {os.getpid()} has not asked how" in answer.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: takes root")
def test_a_process_of_another_user_is_a_sentence():
    """It says who may look."""
    program = """
import os, sys
from holdfast.__main__ import main
from holdfast.cli.audit.show import show
import holdfast.cli.main, holdfast.cli.audit.command, json
os.setgid(54321); os.setuid(54321)
sys.argv = ["holdfast", "audit", sys.argv[1]]
main()
"""
    answer = subprocess.run(  # noqa: S603 - as above
        [sys.executable, "-c", program, str(os.getpid())],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert answer.returncode == 2
    assert f"run as the user who owns process {os.getpid()}, or as root" in answer.stderr


def test_one_process_has_to_be_named():
    """Neither none nor two."""
    for arguments in ((), ("1", "--self"), ("0",), ("x",)):
        assert audit(*arguments).returncode == 2


def test_the_command_looks_at_itself():
    """For a first try; it is healthy."""
    answer = audit("--self")

    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.startswith("process ")
    assert "\x1b" not in answer.stdout
