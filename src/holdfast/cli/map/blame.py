"""Which line of the user's own code an error came from."""

import linecache
import traceback
from pathlib import Path

__all__ = ("blame",)


def blame(error: BaseException, folder: Path) -> str:
    """Say where in ``folder`` the error arose: the file, the line, and what it says.

    The deepest frame inside ``folder`` counts, installed packages left out; where no frame is in
    there, the deepest one that is not the import system's.

    Returns:
        Such as ``agent.py, line 3 ("import numpz")``; empty where nothing is known.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        text = (error.text or "").strip()
        return _describe(Path(error.filename), error.lineno, text, folder)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
        and "importlib" not in Path(frame.filename).parts
    ]
    own = [frame for frame in frames if _is_own(Path(frame.filename), folder)]
    # Without one, the trace holds only holdfast's own call of the import system.
    chosen = own[-1] if own else frames[-1] if len(frames) > 1 else None
    if chosen is None or chosen.lineno is None:
        return ""
    text = linecache.getline(chosen.filename, chosen.lineno).strip()
    return _describe(Path(chosen.filename), chosen.lineno, text, folder)


def _is_own(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def _describe(path: Path, line: int, text: str, folder: Path) -> str:
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return f'{shown}, line {line} ("{text}")' if text else f"{shown}, line {line}"
