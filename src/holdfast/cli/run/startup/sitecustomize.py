"""Python imports this by itself when it starts; it makes room for the one of that name that it hides."""

import os
import sys


def _start() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - nothing is imported yet
    sys.path[:] = [each for each in sys.path if os.path.abspath(each) != here]  # noqa: PTH100 - likewise
    ours = sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # type: ignore[import-not-found] # noqa: F401, PLC0415
    except ImportError:
        if ours is not None:
            sys.modules[__name__] = ours
    try:
        from holdfast.cli.run.guarded import begin  # noqa: PLC0415 - now that the path is as it was
    except ImportError as error:
        sys.stderr.write(
            f"holdfast: {sys.executable} runs without a guard, as it has no holdfast: {error}\n"
        )
        return
    begin()


if "HOLDFAST_RUN" in os.environ:
    _start()
