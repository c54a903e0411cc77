"""Findings about sockets: who holds connections that nobody uses, and to whom."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from holdfast.sense.descriptor_kinds import Descriptor
from holdfast.sense.sockets import Socket
from holdfast.watch._words import counted, listed, tallied
from holdfast.watch.finding import Finding, Severity
from holdfast.watch.look import Look

__all__ = ("of_sockets",)

# A pool of connections may keep some that its server has closed, until it is used again.
_HALF_CLOSED: Final = 10
_SURE_AT_ONE_LOOK: Final = 100
_UNANSWERED: Final = 20
_TO_ONE_PEER, _MANY_TO_ONE_PEER = 50, 200
_PAIRS: Final = 200


def of_sockets(look: Look) -> Iterator[Finding]:
    """Yield what sockets tell."""
    held = [(each, each.socket) for each in look.descriptors if each.socket is not None]
    yield from _half_closed(look, held)
    yield from _unanswered(look, held)
    yield from _to_one_peer(held)
    yield from _unnamed(held)


Held = list[tuple[Descriptor, Socket]]


def _half_closed(look: Look, held: Held) -> Iterator[Finding]:
    found = [it for each, it in held if it.state == "CLOSE_WAIT" and look.lasts(each.target)]
    if not found:
        return
    served, used = _by_side(found, [it for _, it in held])
    enough = _HALF_CLOSED if look.lasting is not None else _SURE_AT_ONE_LOOK
    severity: Severity = "warning" if len(found) >= enough else "note"
    what = f"{counted(len(found), 'connection is', 'connections are')} in CLOSE_WAIT."
    means = "The other end has closed them, and this program has not"
    if served and not used:
        means += ": clients have left, and what served them did not notice, or hangs."
        do = "End the handler when its client leaves, and give what it waits for a timeout."
    else:
        means += ": responses or clients that were not closed."
        do = "Close each response (`with`), and use one client for the program, closed at its end."
    yield Finding(severity, "close-wait", what, means, do, listed(used | served))


def _unanswered(look: Look, held: Held) -> Iterator[Finding]:
    found = [it for each, it in held if it.state == "SYN_SENT" and look.lasts(each.target)]
    if len(found) < _UNANSWERED:
        return
    yield Finding(
        "warning" if look.lasting is not None else "note",
        "unanswered",
        f"{counted(len(found), 'connection')} wait for an answer that does not come (SYN_SENT).",
        "The peer is not there, or refuses by silence; each waits for minutes.",
        "Set a timeout for connecting (5 s is usual), and bound how many calls try at once.",
        listed(tallied(it.peer for it in found)),
    )


def _to_one_peer(held: Held) -> Iterator[Finding]:
    established = [it for _, it in held if it.state == "ESTABLISHED"]
    _, used = _by_side(established, [it for _, it in held])
    many = {peer: count for peer, count in used.items() if count >= _TO_ONE_PEER}
    if not many:
        return
    most = max(many.values())
    yield Finding(
        "warning" if most >= _MANY_TO_ONE_PEER else "note",
        "connections-to-one-peer",
        f"{counted(most, 'connection')} to one peer are open.",
        "A client that is made for each request keeps a connection each, and so does a call whose"
        " response is never closed.",
        "Use one client for the program with a bound on its connections; close responses.",
        listed(many),
    )


def _unnamed(held: Held) -> Iterator[Finding]:
    found = [it for _, it in held if it.family == "unix" and it.state == "CONNECTED"]
    if len(found) < _PAIRS:
        return
    yield Finding(
        "warning",
        "unix-sockets",
        f"{counted(len(found), 'connected unix socket')} are open.",
        "Each event loop has a pair of them, and so has each channel to a child process.",
        "Close loops (`asyncio.run` does) and the connections to children that have ended.",
        listed(tallied(it.local or "without a path" for it in found)),
    )


def _by_side(
    found: Iterable[Socket], all_held: Iterable[Socket]
) -> tuple[dict[str, int], dict[str, int]]:
    """How many of ``found`` were accepted, by own address, and how many were opened, by peer.

    An accepted connection has the address of the socket that listens; one that forks children and
    keeps no such socket shows it by many peers at one own address.
    """
    listening = {_port(it.local) for it in all_held if it.state == "LISTEN"}
    found = list(found)
    locals_, peers = Counter(it.local for it in found), Counter(it.peer for it in found)
    accepted: Callable[[Socket], bool] = lambda it: (  # noqa: E731 - one line, used twice below
        _port(it.local) in listening or locals_[it.local] > peers[it.peer]
    )
    served = tallied(f"clients of {it.local}" for it in found if accepted(it))
    used = tallied(it.peer or "an unknown peer" for it in found if not accepted(it))
    return served, used


def _port(address: str) -> str:
    return address.rpartition(":")[2]
