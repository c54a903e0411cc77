"""What the tests of the command line share."""

import json
import signal
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.cli.map.command import map_command


@dataclass
class Ran:
    """What a run of ``holdfast map`` in this process has left behind."""

    code: int
    err: str
    out: str
    output: Any

    @property
    def raw_lines(self):
        """The lines of OUTPUT as they stand there."""
        return self.output.read_bytes().splitlines(keepends=True)

    @property
    def lines(self):
        """The lines of OUTPUT, decoded."""
        return [json.loads(line) for line in self.raw_lines]

    @property
    def summary(self):
        """What ``--json`` has printed."""
        return json.loads(self.out)


@pytest.fixture
def clean_imports():
    """Forget the modules that a test imported, and where it looked for them."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith("holdfast"):
            del sys.modules[name]


@pytest.fixture
def agent(tmp_path, clean_imports):
    """Write a file with the user's functions, and say how TARGET names one of them."""

    def write(source, name="mapped_agent"):
        file = tmp_path / f"{name}.py"
        file.write_text(source)
        return lambda function: f"{file}:{function}"

    return write


@pytest.fixture
def run(tmp_path, capfd):
    """Run ``holdfast map`` in this process: ``run(target, lines, *options)``."""

    def run_map(target, lines, *options, output="out.jsonl", source=None):
        if source is None:
            source = tmp_path / "in.jsonl"
            data = lines if isinstance(lines, bytes) else "".join(f"{x}\n" for x in lines).encode()
            source.write_bytes(data)
        where = "-" if output == "-" else str(tmp_path / output)
        capfd.readouterr()
        alarm, left = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
        try:
            code = map_command.main(
                [target, str(source), "-o", where, *options], standalone_mode=False
            )
        finally:  # a process of its own may use the alarm; here it ends a test that hangs
            signal.signal(signal.SIGALRM, alarm)
            signal.setitimer(signal.ITIMER_REAL, *left)
        out, err = capfd.readouterr()
        return Ran(code, err, out, tmp_path / output)

    return run_map
