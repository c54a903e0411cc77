"""Turns of streams on the way to their workers and back: several items at a time, where they are quick."""

import math
from abc import abstractmethod
from typing import cast

from holdfast.pools._entry import ENDED
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_delivery import Delivery
from holdfast.pools._process_direct import SOON
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_loss import Death
from holdfast.pools._process_payload import read_reply
from holdfast.pools._process_turn import ProcessTurn
from holdfast.pools._process_worker import BUSY, DEAD, WorkerProcess

__all__ = ("Turns",)


class Turns(Delivery):
    """The fifth part of a pool's core."""

    @abstractmethod
    def _loss(
        self,
        worker: WorkerProcess,
        call: ProcessEntry,
        death: Death,
    ) -> Exception:
        """See where it is done."""

    def _send_turn(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> None:
        """Write the first items of a turn."""
        worker.started = now
        self._choose_reader(worker, prompt=False)
        worker.due = math.inf if turn.timeout is None else now + turn.timeout
        going = self._send_items(worker, turn, now)
        if worker.due < HUB.wakes_at:
            HUB.need(worker.due)
        if not going:
            self._end_turn(worker, turn)

    def _send_items(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> bool:
        """Write further items; whether anything is with the worker then."""
        worker.written = True
        try:
            going = turn.send(worker, now, shared=self.options.shared)
        except BrokenPipeError:
            going = True  # what becomes of it is decided when the worker is buried
        except Exception as error:  # noqa: BLE001 - pickling runs anybody's code
            item = turn.sent.pop()
            error.add_note("raised while the item was sent, which never started")
            turn.engine.put_outcome(item, None, error, 0.0)
            going = bool(turn.sent)
        worker.sending = False
        if worker.status is not None:
            HUB.post(lambda: self._lose_if_dead(worker))
        if len(turn.sent) > 1 and now + SOON < HUB.wakes_at:
            HUB.need(now + SOON)
        return going

    def _hear_turn(self, worker: WorkerProcess, turn: ProcessTurn) -> None:
        """Take all replies that are there, then send further items."""
        engine, heard, began = turn.engine, 0, worker.started
        now = self.now()
        while (message := worker.take_message()) is not None:
            kind, body = message
            value, error = read_reply(kind, body, worker.arena)
            with self._lock:
                if worker.call is not turn or worker.state not in {BUSY, DEAD} or not turn.sent:
                    return
                item = turn.sent.popleft()
                worker.started = now
                worker.due = math.inf if turn.timeout is None else now + turn.timeout
                worker.calls += heard > 0
            heard += 1
            if engine.pace is not None and isinstance(error, Exception):
                engine.pace.failed(error)
            engine.put_outcome(item, value, error, now - item.began)
            del value
        if not heard:
            return
        engine.adapt(heard, now - began)
        timings = self.admission.timings
        if timings.is_due():
            timings.record(-1.0, (now - began) / heard, heard)
        turn.retired = turn.retired or self.is_worn(worker)
        if 2 * len(turn.sent) > engine.depth:
            return
        self._go_on(worker, turn, now)

    def _go_on(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> None:
        """Send the turn's next items, or end it."""
        with self._lock:
            if worker.call is not turn or worker.state != BUSY:
                return
            worker.sending = True
        if not self._send_items(worker, turn, now):
            self._end_turn(worker, turn)

    def _end_turn(self, worker: WorkerProcess, turn: ProcessTurn) -> None:
        """A turn is over: its permit goes on, and so does its worker."""
        with self._lock:
            worker.sending = False
            if worker.call is not turn:
                return
            worker.call = None
            worker.due = math.inf
            turn.worker = None
            turn.state = ENDED
        then = self.admission.give_back()
        if turn.left:
            self.admission.unabandon_item()
        turn.engine.end_turn(turn)
        self._next(worker, then)
        self._lose_if_dead(worker)

    def abort_turn(self, turn: ProcessTurn) -> None:
        """Nobody waits for the turn's item any more: end its process."""
        with self._lock:
            worker = turn.worker
            busy = worker is not None and worker.call is turn and worker.state == BUSY
            if busy:
                turn.left = True
        if busy and worker is not None:
            self.admission.abandon_item(timed_out=False)
            self.doom(worker, "cancel", call=turn)
            self.pump()

    def _lose_turn(
        self,
        worker: WorkerProcess,
        turn: ProcessTurn,
        death: Death,
    ) -> None:
        """Its worker is dead."""
        turn.state = ENDED
        then = cast("ProcessEntry | None", self.admission.give_back())
        if turn.left:
            self.admission.unabandon_item()
        if then is not None:
            with self._lock:
                self.homeless.appendleft(then)
        engine, back = turn.engine, turn.take_back(worker)
        if turn.sent and death.why != "cancel":
            item = turn.sent.popleft()
            took = self.now() - item.began
            loss = self._loss(worker, turn, death)
            engine.put_outcome(item, None, loss, took)
        engine.put_back(*turn.sent, *back)
        engine.end_turn(turn)
