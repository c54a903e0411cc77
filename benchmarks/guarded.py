"""Programs that fail, run as they are and under ``holdfast run``: a table of what becomes of each.

    python -m benchmarks.guarded FOLDER [NAME ...] [--json FILE]

Each program in FOLDER exits with 0 if its failure was seen. *Prevented*: under guard it was not. *Named*: it
was, and a finding names a line of the program (or the program's own watchdog ended it first: exit 3).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

TIMEOUT = 60
FAILURE_NOT_SEEN = 1
"""The exit code of a program that ran to its end; others are those of its watchdog."""


@dataclass(frozen=True)
class Outcome:
    """What became of one program."""

    program: str
    plain: int
    plain_figure: str
    guarded: int
    guarded_figure: str
    found: tuple[str, ...]
    line: str

    @property
    def verdict(self) -> str:
        """Prevented, named, both, or neither."""
        told = ["prevented"] if self.plain == 0 and self.guarded == FAILURE_NOT_SEEN else []
        told += ["line named"] if self.line else []
        return ", ".join(told) or "MISSED"


def run(command: list[str], folder: str) -> tuple[int, str]:
    """Run a program; its exit code and its FIGURE line."""
    try:
        done = subprocess.run(  # noqa: S603 - programs that the caller names
            command, capture_output=True, text=True, timeout=TIMEOUT, cwd=folder, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, ""
    figures = [line for line in done.stdout.splitlines() if line.startswith("FIGURE")]
    return done.returncode, figures[-1].removeprefix("FIGURE ") if figures else ""


def outcome(program: Path) -> Outcome:
    """Run a program both ways."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # one of them gives up its rights
        plain = run([sys.executable, str(program)], folder)
        guard = [
            sys.executable,
            "-m",
            "holdfast",
            "run",
            "--children",
            "--report",
            f"{folder}/r-%p",
        ]
        guarded = run([*guard, str(program)], folder)
        found, line = findings(Path(folder), program)
    return Outcome(program.stem, *plain, *guarded, found, line)


def findings(folder: Path, program: Path) -> tuple[tuple[str, ...], str]:
    """The kinds of findings of all reports, and the line of the program that the worst names."""
    kinds: dict[str, None] = {}
    line = ""
    for path in sorted(folder.glob("r-*.json")):
        for finding in json.loads(path.read_text())["findings"]:
            if finding["severity"] == "note":
                continue
            kinds[finding["code"]] = None
            told = " ".join([finding["what"], *finding["evidence"]])
            if not line and str(program) in told:
                line = told.split(str(program), 1)[1].split(" in ")[0].split(" ")[0].strip(":;,.")
    return tuple(kinds), line


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    programs = sorted(args.folder.glob("*.py"))
    if args.names:
        programs = [it for it in programs if any(name in it.stem for name in args.names)]
    print(
        "| program | plain | under guard | findings | line | verdict |\n|---|---|---|---|---|---|"
    )
    outcomes = []
    for program in programs:
        it = outcome(program.resolve())
        outcomes.append(it)
        print(
            f"| `{it.program}` | {it.plain_figure or f'exit {it.plain}'} "
            f"| {it.guarded_figure or f'exit {it.guarded}'} | {', '.join(it.found) or '-'} "
            f"| {it.line or '-'} | {it.verdict} |",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps([asdict(it) | {"verdict": it.verdict} for it in outcomes]))
    sys.exit(any(it.verdict == "MISSED" for it in outcomes))


if __name__ == "__main__":
    main()
