"""``holdfast map`` as a process of its own, for tests that kill, interrupt or starve it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class MapProcess:
    """A folder with an input, a file of functions, and the runs over them."""

    folder: Path

    def write(self, source, lines=()):
        """Write the functions and the input."""
        (self.folder / "agent.py").write_text(source)
        (self.folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))

    @property
    def output(self):
        """Where OUTPUT is."""
        return self.folder / "out.jsonl"

    @property
    def lines(self):
        """The lines of OUTPUT, decoded; each must be whole."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def start(self, function, *options, source="in.jsonl", output="out.jsonl", **popen):
        """Start a run; standard error is a pipe unless something else is asked for."""
        command = [sys.executable, "-m", "holdfast", "map", f"agent.py:{function}", source]
        popen = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, **popen}
        env = {**os.environ, "TERM": "dumb", **popen.pop("env", {})}
        return subprocess.Popen(  # noqa: S603 - the program under test
            [*command, "-o", output, *options], cwd=self.folder, env=env, **popen
        )

    def run(self, function, *options, **popen):
        """Run to the end; returns exit code and standard error."""
        with self.start(function, *options, **popen) as process:
            _, said = process.communicate(timeout=40)
        return process.returncode, said


def read_until(stream, word):
    """Read lines until one holds ``word``: the process says so when it is ready."""
    for line in stream:
        if word in line:
            return
    message = f"the process ended without saying {word!r}"
    raise AssertionError(message)
