"""The first part of a request: its line and its header fields (RFC 9112, sections 3 and 5)."""

import re
from dataclasses import dataclass

__all__ = ("Head", "HttpError", "parse_head")

MOST_FIELDS = 100

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_NAME = re.compile(_TOKEN)
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,18}")
# Said more than once, these contradict themselves; all others are joined by commas.
_SINGLE = frozenset({"host", "content-length", "transfer-encoding", "expect"})


class HttpError(Exception):
    """What arrived can't be served as HTTP; the connection is closed after saying so.

    Attributes:
        status: The status to answer with.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request's line and fields, and what they say about its body.

    Attributes:
        method: As sent; methods are case-sensitive.
        path: Target without query, still percent-encoded.
        fields: Header fields, names in lower case.
        length: Bytes of the body; None for a chunked one.
        keep_alive: Whether the client may use the connection again.
        expects_continue: Whether the client waits for ``100 Continue`` before it sends the body.
        chunked_reply: Whether the client understands a chunked reply (HTTP/1.1).
    """

    method: str
    path: str
    fields: dict[str, str]
    length: int | None
    keep_alive: bool
    expects_continue: bool
    chunked_reply: bool


def parse_head(block: bytes) -> Head:
    """Parse the lines before the empty one.

    Raises:
        HttpError: 400 if it breaks the rules, 417, 431, 501 or 505 if it asks for what is not here.
    """
    line, *rest = block.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        msg = f"bad request line {_shown(line)}: expected METHOD TARGET HTTP/1.1"
        raise HttpError(400, msg)
    if match[3] != b"1":
        msg = f"HTTP/{match[3].decode()} is not spoken here; use HTTP/1.1"
        raise HttpError(505, msg)
    modern = match[4] != b"0"
    fields = _parse_fields(rest)
    if modern and "host" not in fields:
        raise HttpError(400, "an HTTP/1.1 request must have a host field")
    return Head(
        method=match[1].decode("ascii"),
        path=_path(match[2].decode("ascii")),
        fields=fields,
        length=_body_length(fields, modern=modern),
        keep_alive=_keep_alive(fields, modern=modern),
        expects_continue=_expects_continue(fields, modern=modern),
        chunked_reply=modern,
    )


def _parse_fields(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MOST_FIELDS:
        msg = f"{len(lines)} header fields; at most {MOST_FIELDS} are read"
        raise HttpError(431, msg)
    fields: dict[str, str] = {}
    for line in lines:
        raw_name, colon, raw_value = line.partition(b":")
        # A space before the colon, or a line folded the old way, ends up here too.
        if not colon or _NAME.fullmatch(raw_name) is None or _FORBIDDEN.search(raw_value):
            msg = f"bad header field {_shown(line)}"
            raise HttpError(400, msg)
        name = raw_name.decode("ascii").lower()
        value = raw_value.strip(b" \t").decode("latin-1")
        if name not in fields:
            fields[name] = value
        elif name not in _SINGLE:
            fields[name] += ", " + value
        elif name != "content-length" or fields[name] != value:
            msg = f"the header field {name} is given twice: {fields[name]!r} and {value!r}"
            raise HttpError(400, msg)
    return fields


def _path(target: str) -> str:
    """Take the path out of ``/path?query`` or of ``http://host/path?query``."""
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() in {"http", "https"}:
            slash = rest.find("/")
            target = rest[slash:] if slash >= 0 else "/"
    return target.partition("?")[0]


def _body_length(fields: dict[str, str], *, modern: bool) -> int | None:
    coding = fields.get("transfer-encoding")
    length = fields.get("content-length")
    if coding is None:
        if length is None:
            return 0
        if _LENGTH.fullmatch(length) is None:
            msg = f"content-length must be a number of bytes, not {length!r}"
            raise HttpError(400, msg)
        return int(length)
    # Both at once is how requests are smuggled past a proxy.
    if length is not None or not modern:
        raise HttpError(400, "transfer-encoding needs HTTP/1.1 and no content-length beside it")
    if coding.lower() != "chunked":
        msg = f"transfer-encoding {coding!r} is not read here; use chunked"
        raise HttpError(501, msg)
    return None


def _keep_alive(fields: dict[str, str], *, modern: bool) -> bool:
    options = {option.strip() for option in fields.get("connection", "").lower().split(",")}
    return "close" not in options if modern else "keep-alive" in options


def _expects_continue(fields: dict[str, str], *, modern: bool) -> bool:
    expectation = fields.get("expect")
    if expectation is None or not modern:  # an HTTP/1.0 client can't mean it
        return False
    if expectation.lower() != "100-continue":
        msg = f"the expectation {expectation!r} can't be met; only 100-continue can"
        raise HttpError(417, msg)
    return True


def _shown(line: bytes) -> str:
    """Show at most 60 bytes of what the client sent."""
    cut = line[:60].decode("latin-1")
    return repr(cut + "..." if len(line) > len(cut) else cut)
