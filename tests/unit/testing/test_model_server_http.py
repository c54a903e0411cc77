"""How the model server reads HTTP, sans socket."""

import pytest
from hypothesis import given, strategies as st

from holdfast.testing.model_server._http.head import HttpError
from holdfast.testing.model_server._http.reader import Request, RequestReader

GET = b"GET /v1/models?x=1 HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST /v1/messages HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /v1/messages HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;name=value\r\nhel\r\n02\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


def reader(max_head: int = 4096, max_body: int = 4096) -> RequestReader:
    """Make a reader with small bounds."""
    return RequestReader(max_head=max_head, max_body=max_body)


def read_all(data: bytes, *sizes: int) -> list[Request | int]:
    """Feed ``data`` in pieces of ``sizes``; return the requests, and a refusal's status."""
    parser = reader()
    found: list[Request | int] = []
    begin = 0
    ends = []
    for size in sizes:
        begin += size
        ends.append(min(begin, len(data)))
    begin = 0
    for end in (*ends, len(data)):
        parser.feed(data[begin:end])
        begin = end
        try:
            while (request := parser.poll()) is not None:
                found.append(request)
        except HttpError as error:
            return [*found, error.status]
    return found


def head(line: bytes = b"POST / HTTP/1.1", *fields: bytes) -> bytes:
    """Write the head of a request."""
    return b"\r\n".join((line, b"Host: here", *fields, b"", b""))


# ---------------------------------------------------------------- what is well formed


def test_a_request_is_read_with_its_path_fields_and_body():
    """Query and letter case go, the body is what the length says."""
    (request,) = read_all(POST)

    assert isinstance(request, Request)
    assert (request.head.method, request.head.path) == ("POST", "/v1/messages")
    assert request.head.fields == {"host": "here", "content-length": "5"}
    assert request.body == b"hello"
    assert request.head.keep_alive


def test_a_query_is_not_part_of_the_path():
    """What stands after the question mark is dropped."""
    (request,) = read_all(GET)

    assert isinstance(request, Request)
    assert request.head.path == "/v1/models"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://here:80/v1/models", "/v1/models"),
        (b"http://here", "/"),
        (b"HTTP://here/a?b", "/a"),
        (b"*", "*"),
    ],
)
def test_a_target_may_be_absolute(target, path):
    """A proxy's form of the target names the same path."""
    (request,) = read_all(head(b"GET " + target + b" HTTP/1.1"))

    assert isinstance(request, Request)
    assert request.head.path == path


def test_chunks_are_joined_and_trailers_dropped():
    """A chunked body reads like one of known length."""
    (request,) = read_all(CHUNKED)

    assert isinstance(request, Request)
    assert request.body == b"hello"
    assert "x-trailer" not in request.head.fields


def test_requests_that_come_at_once_are_read_one_by_one():
    """Pipelined requests come out in order."""
    found = read_all(POST + GET + CHUNKED)

    assert [one.body for one in found if isinstance(one, Request)] == [b"hello", b"", b"hello"]


@given(sizes=st.lists(st.integers(1, 40), max_size=40))
def test_pieces_do_not_matter(sizes):
    """However the bytes are cut on the way, the same requests come out."""
    data = POST + b"\r\n" + CHUNKED + GET

    assert read_all(data, *sizes) == read_all(data)


@given(
    data=st.lists(
        st.sampled_from(
            [
                b"GET / HTTP/1.1\r\n",
                b"POST /v1/messages HTTP/1.1\r\n",
                b"Host: a\r\n",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"\r\n",
                b"\n",
                b"\r",
                b"abc",
                b"3\r\nabc\r\n",
                b"0\r\n\r\n",
                b"\x00\xff",
                b": ",
            ]
        ),
        max_size=12,
    ).map(b"".join),
    sizes=st.lists(st.integers(1, 30), max_size=10),
)
def test_whatever_comes_is_read_or_refused_the_same_in_any_pieces(data, sizes):
    """Rubbish never raises anything but a refusal, and where it is cut changes nothing."""
    whole = read_all(data)

    assert read_all(data, *sizes) == whole


@given(st.binary(max_size=300))
def test_random_bytes_are_never_a_request(data):
    """Bytes that are not HTTP end in a refusal, or in waiting for more."""
    found = read_all(data)

    assert not [one for one in found if isinstance(one, Request)]
    assert all(one == 400 for one in found)


def test_http_1_0_closes_unless_it_asks_to_stay():
    """In HTTP/1.0 keep-alive is the exception, in 1.1 the rule."""
    old = b"GET / HTTP/1.0\r\n"
    found = read_all(old + b"\r\n")
    asked = read_all(old + b"Connection: Keep-Alive\r\n\r\n")
    closing = read_all(head(b"GET / HTTP/1.1", b"Connection: x, Close"))

    kept = [one.head.keep_alive for one in (*found, *asked, *closing) if isinstance(one, Request)]
    assert kept == [False, True, False]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        (b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (head(b"GET / HTTP/1.1", b"No-Colon"), 400),
        (head(b"GET / HTTP/1.1", b"Space : a"), 400),
        (head(b"GET / HTTP/1.1", b"Folded: a", b" b"), 400),
        (head(b"GET / HTTP/1.1", b"Bad: a\x00b"), 400),
        (head(b"GET / HTTP/1.1", b"Bad: a\nb"), 400),
        (head(b"GET / HTTP/1.1", b": nameless"), 400),
        (head(b"GET / HTTP/1.1", *[b"A: b"] * 200), 431),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 5000, 431),
        (b"x" * 5000, 431),
        (head(b"POST / HTTP/1.1", b"Content-Length: -1"), 400),
        (head(b"POST / HTTP/1.1", b"Content-Length: 1e3"), 400),
        (head(b"POST / HTTP/1.1", b"Content-Length: " + b"9" * 30), 400),
        (head(b"POST / HTTP/1.1", b"Content-Length: 1", b"Content-Length: 2"), 400),
        (head(b"POST / HTTP/1.1", b"Content-Length: 9999"), 413),
        (head(b"POST / HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (head(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"POST / HTTP/1.1", b"Expect: a miracle"), 417),
        (head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"xyz\r\n", 400),
        (head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"-3\r\nabc\r\n", 400),
        (head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"3\r\nabcd\r\n", 400),
        (head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"fffffff\r\n", 413),
        (head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"1" * 2000, 400),
        (
            head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"0\r\n" + b"A: b\r\n" * 3000,
            431,
        ),
    ],
)
def test_what_breaks_the_rules_is_refused(data, status):
    """Each rule has its status, and nothing is read after a refusal."""
    found = read_all(data)

    assert found == [status]


def test_the_same_length_said_twice_is_one_length():
    """Only lengths that contradict each other are an error."""
    (request,) = read_all(
        head(b"POST / HTTP/1.1", b"Content-Length: 2", b"Content-Length: 2") + b"ab"
    )

    assert isinstance(request, Request)
    assert request.body == b"ab"


def test_a_chunked_body_is_bounded_as_a_whole():
    """Many small chunks do not get past the bound of the body."""
    parser = reader(max_body=10)
    parser.feed(head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked") + b"4\r\nabcd\r\n" * 3)

    with pytest.raises(HttpError, match="over 10 bytes") as refused:
        parser.poll()

    assert refused.value.status == 413


def test_continue_is_asked_for_once_and_only_while_the_body_is_missing():
    """A client that waits is told to go on; one that did not wait is not."""
    waiting, hasty = reader(), reader()
    told = head(b"POST / HTTP/1.1", b"Content-Length: 3", b"Expect: 100-continue")
    waiting.feed(told)
    hasty.feed(told + b"ab")
    assert waiting.poll() is None
    assert hasty.poll() is None

    asked = [waiting.take_continue(), waiting.take_continue(), hasty.take_continue()]

    assert asked == [True, False, False]


def test_what_is_shown_of_bad_input_is_short():
    """A message quotes the beginning of a bad line, not all of it."""
    parser = reader()
    parser.feed(b"x" * 3000 + b"\r\n\r\n")

    with pytest.raises(HttpError) as refused:
        parser.poll()

    assert len(str(refused.value)) < 200
