"""Clean-up calls of a pool of threads: on any permit that is free, or on one of those that are kept."""

from holdfast.pools._admission import Admission
from holdfast.pools._thread_calls import LoopCall, SubmittedCall, ThreadCall
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools._thread_crew import ThreadCrew

__all__ = ("ReservedThreadCore",)


class ReservedThreadCore(ThreadCore):
    """The permits that a thread pool keeps, and the threads for them, which come and go like all others.

    Args:
        admission: Of the kept permits.
        crew: Their workers.
        usual: The permits of all calls.
    """

    __slots__ = ("_usual",)

    def __init__(self, admission: Admission, crew: ThreadCrew, usual: ThreadCore) -> None:
        super().__init__(admission, crew)
        self._usual = usual

    def submit_from_loop(self, call: LoopCall) -> None:
        """Give ``call`` a place at once, so that it is known where."""
        if not self._started(call):
            self.take_burst([call])

    def submit(self, call: SubmittedCall, *, may_block: bool) -> bool:
        """Give ``call`` a place and see to it that a worker comes; False if it is still blocked."""
        return self._started(call) or super().submit(call, may_block=may_block)

    def give_up(self, call: ThreadCall) -> None:
        """Nobody waits for ``call`` any more: take it back, or count it as abandoned."""
        if call.core is self._usual:
            self._usual.give_up(call)
        else:
            super().give_up(call)

    def _started(self, call: LoopCall | SubmittedCall) -> bool:
        """Whether ``call`` has found a permit of the pool free, so that it starts at once."""
        usual = call.core = self._usual
        if usual.admission.line_up_if_free(call):
            usual.crew.hire()
            return True
        call.core = self
        return False
