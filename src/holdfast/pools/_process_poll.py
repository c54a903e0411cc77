"""Waits for descriptors that have something to read: epoll itself, or what the system has instead.

The standard library's selectors cost as much again as the system call for each event.
"""

import select
import selectors

__all__ = ("Poller",)

_HAS_EPOLL = hasattr(select, "epoll")


class _Epoll:
    """Registered and unregistered from any thread, also while another one polls."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def register(self, fd: int) -> None:
        """Report when ``fd`` has something to read, or is at its end."""
        self._epoll.register(fd, select.EPOLLIN)

    def unregister(self, fd: int) -> None:
        """Report nothing more of it."""
        self._epoll.unregister(fd)

    def poll(self, timeout: float | None) -> list[int]:
        """Wait up to ``timeout`` seconds, rounded up to milliseconds; None is as long as it takes."""
        return [fd for fd, _ in self._epoll.poll(timeout, 64)]

    def close(self) -> None:
        """Close its descriptor."""
        self._epoll.close()


class _Selector:
    """The same where there is no epoll; kqueue can be changed while it is waited for as well."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int) -> None:
        """Report when ``fd`` has something to read, or is at its end."""
        self._selector.register(fd, selectors.EVENT_READ)

    def unregister(self, fd: int) -> None:
        """Report nothing more of it."""
        self._selector.unregister(fd)

    def poll(self, timeout: float | None) -> list[int]:
        """Wait up to ``timeout`` seconds; None is as long as it takes."""
        return [key.fd for key, _ in self._selector.select(timeout)]

    def close(self) -> None:
        """Close its descriptor."""
        self._selector.close()


Poller = _Epoll if _HAS_EPOLL else _Selector
