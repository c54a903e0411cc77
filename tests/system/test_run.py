"""``holdfast run`` around real programs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        sys.platform != "linux", reason="reads /proc, and sets limits as Linux has them"
    ),
]

RUN = [sys.executable, "-m", "holdfast", "run"]


def written(folder: Path, source: str, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def run(folder: Path, *args: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *args], cwd=folder, capture_output=True, text=True, timeout=50, check=False, **more
    )


def guarded(
    folder: Path, source: str, *options: str
) -> tuple[subprocess.CompletedProcess[str], dict]:
    """Run a program; what it did, and its report."""
    path = written(folder, source)
    done = run(folder, "--report", "r", *options, str(path))
    return done, json.loads((folder / "r.json").read_text())


def codes(report: dict, *, worse_than_a_note: bool = True) -> set[str]:
    return {
        it["code"]
        for it in report["findings"]
        if not (worse_than_a_note and it["severity"] == "note")
    }


def told(report: dict) -> str:
    return " ".join(" ".join([it["what"], *it["evidence"]]) for it in report["findings"])


# ---------------------------------------------------------------- a plain run


MAIN = """
    import multiprocessing, os, pickle, signal, sys

    def twice(number):
        return number * 2

    if __name__ == "__main__":
        print(__name__, sys.argv, sys.path[0], __file__, __spec__, sorted(os.environ), sys.flags)
        print(*map(signal.getsignal, sorted(signal.valid_signals())), os.kill)
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        assert pickle.loads(pickle.dumps(twice)) is twice
        assert pickle.loads(pickle.dumps(open)) is open
        for method in ("spawn", "fork", "forkserver"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                print(method, pool.map(twice, [1, 2]))
        sys.exit(7)
"""


def test_a_program_sees_what_it_sees_without_us(tmp_path):
    """Arguments, path, environment, signals, pickling, each way of multiprocessing, exit code."""
    path = written(tmp_path, MAIN)
    args = [str(path), "--observe", "-m", "x"]
    plain = subprocess.run(
        [sys.executable, *args],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    done = run(tmp_path, *args)
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)
    assert plain.returncode == 7


@pytest.mark.parametrize(
    "ending",
    [
        "raise ValueError(open('/nowhere'))",
        "raise SystemExit('bye')",
        "raise KeyboardInterrupt",
        "1 / 0",
    ],
)
def test_the_end_is_that_of_a_plain_run(tmp_path, ending):
    """Exit code and traceback are the same to the byte."""
    path = written(tmp_path, ending)
    plain = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    done = run(tmp_path, str(path))
    assert (done.returncode, done.stderr) == (plain.returncode, plain.stderr)


def test_a_module_and_a_command_are_run_too(tmp_path):
    """``-m`` takes a module and all that follows it; ``--`` takes any command."""
    written(tmp_path, "import sys; print(__name__, __spec__.name, sys.argv[1:])", "tool.py")
    assert (
        run(tmp_path, "-m", "tool", "--report", "z").stdout == "__main__ tool ['--report', 'z']\n"
    )
    assert run(tmp_path, "--", "sh", "-c", "exit 9").returncode == 9
    assert run(tmp_path, "--", "no-such-command").returncode == 127
    assert run(tmp_path).returncode == 2


def test_a_signal_reaches_the_program_itself(tmp_path):
    """The process is the one that was started: its number, its handlers."""
    path = written(
        tmp_path,
        """
        import os, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        print("ready", flush=True)
        signal.pause()
        """,
    )
    process = subprocess.Popen([*RUN, str(path)], cwd=tmp_path, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 5


def test_a_hidden_sitecustomize_runs_as_ever(tmp_path):
    """The hook makes room for the one that it hides."""
    written(tmp_path, "import builtins; builtins.customized = True", "sitecustomize.py")
    path = written(tmp_path, "print(customized)")
    done = run(tmp_path, str(path), env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.stdout == "True\n"


def test_children_are_guarded_only_if_asked(tmp_path):
    """What the program starts is as it would be, or guarded with ``--children``."""
    program = """
        import os, subprocess, sys
        code = "import builtins, io; print(type(io.open).__name__)"
        print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    """
    path = written(tmp_path, program)
    assert "builtin_function" in run(tmp_path, str(path)).stdout
    assert "Opener" in run(tmp_path, "--children", str(path)).stdout


# ---------------------------------------------------------------- what it prevents


def test_where_no_descriptor_is_left_a_collection_makes_room(tmp_path):
    """Sockets in cycles: the limit is met, a report is written, and the program goes on."""
    done, report = guarded(
        tmp_path,
        """
        import gc, resource, socket
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        gc.disable()
        def leak():
            cycle = [socket.socket()]
            cycle.append(cycle)
        for _ in range(2000):
            leak()
        print("done")
        """,
    )
    assert done.stdout == "done\n", done.stderr
    assert {"no-descriptors", "dropped-descriptors"} <= codes(report)
    assert "program.py:6 in leak" in told(report)
    assert "no descriptor is left" in done.stderr
    assert (tmp_path / "r-alarm.html").exists()


def test_where_descriptors_are_held_the_error_is_the_systems_and_the_line_is_named(tmp_path):
    """Nothing can be done then but to say who it was, while it happens."""
    done, report = guarded(
        tmp_path,
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        kept = []
        try:
            while True:
                kept.append(open("/dev/null"))
        except OSError as error:
            print(error.errno)
        """,
    )
    assert done.stdout == "24\n"
    assert "program.py:7 in" in told(report)
    assert "program.py:7 in" in (tmp_path / "r-alarm.txt").read_text()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="becomes a user of its own, so that a limit counts for it alone"
)
def test_a_refused_thread_waits_and_is_started():
    """Beyond what the system allows, threads start as others end."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        refused_threads(Path(folder))


def refused_threads(tmp_path: Path) -> None:
    done, report = guarded(
        tmp_path,
        """
        import os, resource, threading, time
        os.setgid(65534); os.setuid(54871)
        resource.setrlimit(resource.RLIMIT_NPROC, (12, 12))
        ran = []
        def work():
            time.sleep(0.05)
            ran.append(1)
        threads = [threading.Thread(target=work) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(ran))
        """,
        "--threads",
        "500",
    )
    assert done.stdout == "60\n", done.stderr
    assert "no-threads" in codes(report)


def test_a_pool_that_waits_for_itself_goes_on(tmp_path):
    """Workers that wait for calls in their own queue get one more worker, and the line is named."""
    done, report = guarded(
        tmp_path,
        """
        import concurrent.futures, threading
        pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="nest")
        both = threading.Barrier(2)
        def outer():
            both.wait()
            return pool.submit(int).result()
        print([future.result(20) for future in [pool.submit(outer), pool.submit(outer)]])
        """,
    )
    assert done.stdout == "[0, 0]\n", done.stderr
    assert "parked-workers" in codes(report)
    assert "2 workers, 2 queued, all parked at threading.py" in told(report)
    assert "program.py:7 in outer" in told(report)
    assert "all parked at threading.py" in done.stderr


def test_parked_waiters_do_not_starve_the_default_executor(tmp_path):
    """More waiters than the pool has workers: it grows until the one that all wait for has run."""
    done, report = guarded(
        tmp_path,
        """
        import asyncio, threading
        async def main():
            event = threading.Event()
            waiters = [asyncio.create_task(asyncio.to_thread(event.wait)) for _ in range(41)]
            await asyncio.sleep(0.1)
            await asyncio.wait_for(asyncio.to_thread(event.set), 20)
            await asyncio.gather(*waiters)
            print("done")
        asyncio.run(main())
        """,
    )
    assert done.stdout == "done\n", done.stderr
    assert "parked-workers" in codes(report)


def test_with_observe_nothing_is_changed(tmp_path):
    """The limit, the executor and a pool that waits for itself stay as they are; the line is named."""
    done, report = guarded(
        tmp_path,
        """
        import asyncio, concurrent.futures, resource, threading
        resource_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        pool = concurrent.futures.ThreadPoolExecutor(1)
        def outer():
            try:
                pool.submit(int).result(2)
            except TimeoutError:
                return "stuck"
        print(pool.submit(outer).result(), asyncio.run(asyncio.to_thread(threading.current_thread)).name)
        """,
        "--observe",
    )
    assert done.stdout == "stuck asyncio_0\n", done.stderr
    assert "parked-workers" in codes(report, worse_than_a_note=False)


# ---------------------------------------------------------------- whose line


LEAKS = {
    "os.pipe()": "import os",
    "os.dup(0)": "import os",
    "os.open('/dev/null', 0)": "import os",
    "open('/dev/null')": "",
    "__import__('pathlib').Path('/dev/null').open()": "",
    "socket.socketpair()": "import socket",
    "tempfile.TemporaryFile()": "import tempfile",
    "selectors.DefaultSelector()": "import selectors",
    "os.memfd_create('x')": "import os",
    "sqlite3.connect('x.db').execute('select 1')": "import sqlite3",
    "subprocess.Popen(['true'], stdout=-1)": "import subprocess",
    "logging.FileHandler('x.log')": "import logging",
    "asyncio.new_event_loop()": "import asyncio",
}


@pytest.mark.parametrize("call", LEAKS)
def test_the_line_that_leaks_is_named(tmp_path, call):
    """Whatever opens a descriptor, and however deep in the standard library: the user's line."""
    _, report = guarded(
        tmp_path,
        f"""
        import warnings; warnings.simplefilter("ignore")
        {LEAKS[call]}
        kept = []
        def leak():
            kept.append({call})
        for _ in range(30):
            leak()
        import os; os._exit(0)
        """,
    )
    assert "held-descriptors" in codes(report)
    assert "program.py:6 in leak" in told(report)


def test_a_socket_that_a_library_opens_in_a_task_of_its_own_is_of_who_awaits_it(tmp_path):
    """The stack ends at the loop; the walk goes on in the task that waits."""
    _, report = guarded(
        tmp_path,
        """
        import asyncio, os, sys
        sys.path.insert(0, os.path.join(os.getcwd(), "site-packages"))
        import library
        async def call_model():
            return await library.connect()
        async def main():
            kept = [await call_model() for _ in range(30)]
            os._exit(0)
        asyncio.run(main())
        """
        if written_library(tmp_path)
        else "",
    )
    assert "program.py:6 in call_model" in told(report)


def written_library(folder: Path) -> Path:
    (folder / "site-packages").mkdir()
    return written(
        folder,
        """
        import asyncio, socket
        async def happy_eyeballs():
            await asyncio.sleep(0)
            return socket.socket()
        async def connect():
            return await asyncio.create_task(happy_eyeballs())
        """,
        "site-packages/library.py",
    )


def test_a_pool_for_each_call_is_named(tmp_path):
    """Threads of many executors made at one line."""
    _, report = guarded(
        tmp_path,
        """
        import concurrent.futures, os, threading
        stop = threading.Event()
        def call():
            pool = concurrent.futures.ThreadPoolExecutor(1)
            pool.submit(stop.wait)
            pool.shutdown(wait=False)
        for _ in range(30):
            call()
        os._exit(0)
        """,
    )
    assert "pool-per-call" in codes(report)
    assert "program.py:6 in call" in told(report)


def test_children_left_behind_are_named(tmp_path):
    """Programs that still run as their parent ends."""
    _, report = guarded(
        tmp_path,
        """
        import subprocess
        children = [subprocess.Popen(["sleep", "1"]) for _ in range(6)]
        import os
        os._exit(0)
        """,
    )
    assert "children-left" in codes(report)
    assert "program.py:3" in told(report)


# ---------------------------------------------------------------- when asked


@pytest.mark.parametrize(
    "busy",
    [
        "threading.Event().wait(30)",
        "[0 for _ in iter(int, 1)]",
        "sum(itertools.repeat(1, 3 * 10**8))",
    ],
    ids=["waiting", "Python", "C code"],
)
def test_a_report_when_a_signal_asks_for_it(tmp_path, busy):
    """Whatever the main thread does; in C code that keeps the interpreter's lock, as soon as that is free."""
    path = written(
        tmp_path,
        f"import itertools, threading\nprint('ready', flush=True)\n{busy}\nthreading.Event().wait(30)",
    )
    process = subprocess.Popen(
        [*RUN, "--report", "r", str(path)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        line = process.stderr.readline()
        process.kill()
        process.wait(20)
    assert "asked by SIGUSR1" in line
    report = json.loads((tmp_path / "r.json").read_text())
    assert "program.py" in report["stacks"]
    assert report["reason"] == "SIGUSR1"


def test_a_handler_of_the_program_for_that_signal_is_left_to_it(tmp_path):
    """It replaces ours, and is called."""
    path = written(
        tmp_path,
        """
        import os, signal
        signal.signal(signal.SIGUSR1, lambda *_: print("mine"))
        os.kill(os.getpid(), signal.SIGUSR1)
        """,
    )
    assert run(tmp_path, str(path)).stdout == "mine\n"


# ---------------------------------------------------------------- healthy programs


HEALTHY = {
    "nothing": "pass",
    "threads": """
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            print(sum(pool.map(len, ["x"] * 5000)))
    """,
    "gather": """
        import asyncio
        async def main():
            await asyncio.gather(*(asyncio.to_thread(open("/dev/null").close) for _ in range(50)))
        asyncio.run(main())
    """,
    "warm-up that levels off": """
        kept = [open("/dev/null") for _ in range(200)]
        for file in kept:
            file.close()
    """,
    "subprocesses": """
        import subprocess
        for _ in range(10):
            subprocess.run(["true"], capture_output=True, check=True)
    """,
    "server": """
        import http.server, threading, urllib.request
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever).start()
        for _ in range(50):
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read()
        server.shutdown(); server.server_close()
    """,
    "a busy server with its clients": """
        import asyncio, os
        async def serve(reader, writer):  # which holds its writer: else the connection is closed
            await reader.read()
            writer.close()
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            if not (child := os.fork()):
                import socket, time
                clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
                time.sleep(20)
                os._exit(0)
            while len(os.listdir("/proc/self/fd")) < 66:
                await asyncio.sleep(0.01)
            os.kill(child, 9)
            os._exit(0)
        asyncio.run(main())
    """,
    "sqlite": """
        import contextlib, sqlite3
        for _ in range(100):
            with contextlib.closing(sqlite3.connect("x.db")) as db:
                db.execute("select 1")
    """,
    "processes": """
        import concurrent.futures
        if __name__ == "__main__":
            with concurrent.futures.ProcessPoolExecutor(2) as pool:
                print(list(pool.map(abs, range(20))))
    """,
    "logging": """
        import logging
        logging.basicConfig(filename="x.log", level=logging.INFO)
        for _ in range(100):
            logging.info("all well")
    """,
    "a loop of loops": """
        import asyncio
        for _ in range(30):
            asyncio.run(asyncio.to_thread(int))
    """,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_has_no_finding_worse_than_a_note(tmp_path, name):
    """And nothing of ours on its standard error."""
    done, report = guarded(tmp_path, HEALTHY[name])
    assert done.returncode == 0, done.stderr
    assert not codes(report)
    assert "holdfast" not in done.stderr


def test_the_report_is_one_page_that_needs_nothing_else(tmp_path):
    """Plots are in it, and no address of anything else."""
    guarded(tmp_path, "import time; time.sleep(2.5)", "--interval", "0.1")
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") >= 3
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
