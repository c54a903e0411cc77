"""A program with a descriptor of every kind, and TCP in every state that a descriptor can be in."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading


def connected(listening):
    """Both ends of a connection: the one that opened it, and the one that was accepted."""
    one = socket.create_connection(listening.getsockname()[:2])
    other, _ = listening.accept()
    return one, other


def stuff(end):
    """Send until nothing more is taken: what is sent next stays here."""
    end.setblocking(False)
    try:
        while True:
            end.send(b"x" * 65536)
    except BlockingIOError:
        pass


def tcp(listening):
    """A socket in each state."""
    established = connected(listening)
    half = connected(listening)
    half[0].shutdown(socket.SHUT_WR)  # FIN_WAIT2 here, CLOSE_WAIT there
    waiting = connected(listening)
    stuff(waiting[0])
    waiting[0].shutdown(socket.SHUT_WR)  # FIN_WAIT1: its end stands behind the data
    last = connected(listening)
    last[0].shutdown(socket.SHUT_WR)
    stuff(last[1])
    last[1].shutdown(socket.SHUT_WR)  # LAST_ACK
    both = connected(listening)
    stuff(both[0])
    both[0].shutdown(socket.SHUT_WR)
    both[1].shutdown(socket.SHUT_WR)  # CLOSING
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    calling = []
    for _ in range(4):  # its line is full after one or two: the others are not answered
        caller = socket.socket()
        caller.setblocking(False)
        caller.connect_ex(deaf.getsockname())
        calling.append(caller)
    return [*established, *half, *waiting, *last, *both, deaf, *calling, socket.socket()]


def others(folder):
    """Everything that is not TCP."""
    held = [open(os.path.join(folder, "data.csv"), "w"), os.open(folder, os.O_RDONLY)]  # noqa: SIM115 - it stays open
    held += [open(os.path.join(folder, "agent.log"), "a") for _ in range(3)]  # noqa: SIM115 - it stays open
    gone = open(os.path.join(folder, "gone.tmp"), "w")  # noqa: SIM115 - it stays open
    gone.write("x" * 5000)
    gone.flush()
    os.unlink(gone.name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.join(folder, "unix.sock"))
    listening.listen()
    held += [gone, tempfile.TemporaryFile(dir=folder), listening, *socket.socketpair(), *os.pipe()]  # noqa: SIM115 - it stays open
    held += [os.eventfd(0), select.epoll(), os.memfd_create("shared"), os.pidfd_open(os.getpid())]
    held += [open(os.devnull), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]  # noqa: SIM115 - it stays open
    held[-1].bind(("127.0.0.1", 0))
    return held


def inotify():
    """There is no such function in the standard library."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True).inotify_init()


def main():
    """Make it all, tell of it in one line, and wait to be let go."""
    folder = sys.argv[1]
    listening = socket.create_server(("127.0.0.1", 0), backlog=50)
    held = [listening, *tcp(listening), *others(folder), inotify()]
    if socket.has_ipv6:
        try:
            six = socket.create_server(("::1", 0), family=socket.AF_INET6)
            held += [six, *connected(six)]
        except OSError:
            pass
    ended = subprocess.Popen(["true"])  # noqa: S607 - of the system
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    running = subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE)  # noqa: S607 - of the system
    stop = threading.Event()
    for _ in range(3):
        threading.Thread(target=stop.wait, daemon=True).start()
    print(json.dumps({"pid": os.getpid(), "running": running.pid, "ended": ended.pid}), flush=True)  # noqa: T201 - to the test
    sys.stdin.read()
    running.kill()
    running.wait()
    del held


if __name__ == "__main__":
    main()
