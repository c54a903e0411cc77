"""``holdfast.sense.sockets``: the tables of a network namespace."""

import sys

import pytest

from holdfast.sense._process import Process
from holdfast.sense.sockets import Socket, parse_inet, parse_unix, socket_tables

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
LINE = (
    "   0: {local} {peer} {state} 00000000:00000000 00:00000000 00000000  0  0 {inode} 1 0 20 4 30"
)

# The kernel writes addresses in the machine's own order of bytes.
little_endian = pytest.mark.skipif(sys.byteorder == "big", reason="the examples are little-endian")


def line(state, inode=77, local="0100007F:1F90", peer="0700000A:01BB"):
    """One line of a table."""
    return LINE.format(local=local, peer=peer, state=state, inode=inode)


def only(text, family="tcp"):
    """The socket with inode 77."""
    return dict(parse_inet(f"{HEAD}\n{text}\n", family, {77}))[77]


@little_endian
@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("01", "ESTABLISHED"),
        ("02", "SYN_SENT"),
        ("06", "TIME_WAIT"),
        ("08", "CLOSE_WAIT"),
        ("0A", "LISTEN"),
        ("0C", "NEW_SYN_RECV"),
        ("0F", "state 15"),
        ("00", "state 0"),
    ],
)
def test_a_tcp_socket_has_a_state_and_a_peer(code, state):
    """One that no kernel had yet is shown by its number."""
    assert only(line(code)) == Socket("tcp", state, "127.0.0.1:8080", "10.0.0.7:443")


@little_endian
def test_a_listening_socket_has_no_peer():
    """The address of nobody is left out."""
    assert only(line("0A", peer="00000000:0000")).peer == ""


@little_endian
@pytest.mark.parametrize(("code", "state"), [("01", "CONNECTED"), ("07", "UNCONNECTED")])
def test_a_datagram_socket_borrows_two_states(code, state):
    """It is connected or it is not."""
    assert only(line(code), "udp").state == state


@little_endian
def test_version_6_addresses_stand_in_brackets():
    """Four words of 32 bits."""
    text = line(
        "01",
        local="00000000000000000000000001000000:0050",
        peer="B80D0120000000000000000001000000:01BB",
    )

    assert only(text, "tcp6") == Socket("tcp6", "ESTABLISHED", "[::1]:80", "[2001:db8::1]:443")


@little_endian
def test_a_version_4_peer_of_a_version_6_socket_is_shown_as_such():
    """As one would write it."""
    text = line(
        "01",
        local="0000000000000000FFFF00000100007F:0050",
        peer="0000000000000000FFFF00000700000A:01BB",
    )

    assert only(text, "tcp6").peer == "10.0.0.7:443"


def test_sockets_that_nobody_asked_for_are_left_out():
    """A busy server's table has those of all processes."""
    table = f"{HEAD}\n{line('01', 76)}\n{line('01', 77)}\n{line('06', 0)}"

    assert [inode for inode, _ in parse_inet(table, "tcp", {77})] == [77]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        line("XX"),
        line("01", local="0100007F"),
        line("01", peer="01:0050"),
        line("01", local="zzzzzzzz:0050"),
    ],
)
def test_a_line_of_another_form_is_left_out(text):
    """Nothing is guessed."""
    assert list(parse_inet(text, "tcp", {77})) == []


def test_unix_sockets_have_a_state_and_a_path():
    """An abstract one begins with an at sign; most have no name."""
    table = """\
Num       RefCount Protocol Flags    Type St Inode Path
ffff888: 00000002 00000000 00010000 0001 01  11 /run/my app.sock
ffff889: 00000003 00000000 00000000 0001 03  12
ffff88a: 00000002 00000000 00000000 0002 01  13 @abstract
ffff88b: garbage"""

    assert dict(parse_unix(table, range(100))) == {
        11: Socket("unix", "LISTEN", "/run/my app.sock"),
        12: Socket("unix", "CONNECTED"),
        13: Socket("unix", "UNCONNECTED", "@abstract"),
    }


def test_tables_that_are_missing_are_left_out(tree):
    """Without version 6 there is no such table; what is in no table stays unknown."""
    tree.write("/proc/self/net/tcp", f"{HEAD}\n{line('08')}")
    tree.write("/proc/self/net/unix", "ffff88a: 00000002 00000000 00000000 0002 01  13 @a")

    found = socket_tables(Process(None, tree.root), {77, 13, 99})

    assert found.keys() == {77, 13}
    assert found[77].state == "CLOSE_WAIT"
