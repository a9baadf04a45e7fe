"""Getting a small thing from a provider over https: no redirects, a time limit and a size limit."""

import ssl
from contextlib import closing
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from jlgc_mailer.errors import Unreachable

_SECONDS = 10  # SNS waits 15 for our answer
_NOTHING = (400, 403, 404, 410)
_LARGEST = 64 * 1024  # a certificate has 2 KB


def fetch(url: str) -> bytes | None:
    """What is at an https address; None when its server says that there is nothing for us.

    Raises Unreachable, which names the server and not the rest of the address.
    """
    parts = urlsplit(url)
    connection = HTTPSConnection(parts.netloc, timeout=_SECONDS, context=ssl.create_default_context())
    try:
        with closing(connection):
            connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
            with connection.getresponse() as answer:
                status, body = answer.status, answer.read(_LARGEST + 1)
    except (OSError, HTTPException) as error:
        raise _unreachable(parts.netloc, str(error) or type(error).__name__) from None
    if status in _NOTHING:
        return None
    if status != 200:
        raise _unreachable(parts.netloc, f"it answered {status}")
    if len(body) > _LARGEST:
        raise _unreachable(parts.netloc, "it sent more than a certificate")
    return body


def _unreachable(host: str, problem: str) -> Unreachable:
    remedy = "Let this machine connect to it over https; the provider tries again."
    return Unreachable(service="provider", place=host, problem=problem.rstrip("."), remedy=remedy)
