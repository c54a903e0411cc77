"""Replies that hold one JSON value: answers in one piece, lists, errors."""

import math

from holdfast.testing.model_server._dialects.call import Dialect, Ids
from holdfast.testing.model_server._dialects.errors import ApiError
from holdfast.testing.model_server._http.head import Head
from holdfast.testing.model_server._http.reply import Reply, Step, reply_head
from holdfast.testing.model_server._jsontext import JsonObject, write

__all__ = ("error_reply", "id_field", "json_reply")


def json_reply(
    body: JsonObject,
    *,
    to: Head,
    status: int = 200,
    fields: tuple[tuple[str, str], ...] = (),
    pause: float = 0.0,
) -> Reply:
    """Answer ``to`` with ``body``, after ``pause`` seconds; a HEAD gets the head alone."""
    data = write(body).encode()
    head = reply_head(
        status,
        (("content-type", "application/json"), *fields),
        to=to,
        length=len(data),
        keep_alive=to.keep_alive,
    )
    steps: list[Step] = [(pause, head)]
    if to.method != "HEAD":
        steps.append((0.0, data))
    return Reply(status, iter(steps), to.keep_alive)


def error_reply(
    error: ApiError, *, to: Head, dialect: Dialect, ids: Ids, pause: float = 0.0
) -> Reply:
    """Answer ``to`` with ``error`` in the shape of ``dialect``."""
    status, body = dialect.error(error, ids)
    fields = [id_field(dialect, ids)]
    if error.allow is not None:
        fields.append(("allow", error.allow))
    if error.retry_after is not None:
        # The standard knows whole seconds only; both SDKs prefer the finer field.
        fields.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
        fields.append(("retry-after-ms", str(max(1, math.ceil(error.retry_after * 1000)))))
    return json_reply(body, to=to, status=status, fields=tuple(fields), pause=pause)


def id_field(dialect: Dialect, ids: Ids) -> tuple[str, str]:
    """Return the header field that names the request."""
    return dialect.request_id_field, f"req_{ids.serial}"
