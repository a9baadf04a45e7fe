"""Serving the pages with waitress, in a thread beside whatever else the process does."""

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from waitress import create_server, wasyncore

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.errors import SettingError
from jlgc_mailer.web.app import create_app
from jlgc_mailer.web.hooks import POST_LIMIT

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104
_THREADS = 8
_LOOK_EVERY = 0.2  # seconds until a stop is noticed
_TOKEN = re.compile(r"/(u|preview)/[^/\s]+")


@dataclass(frozen=True)
class Place:
    """Where the pages are served."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = "127.0.0.1" if self.host in _EVERYWHERE else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@contextmanager
def serving(mailer: Mailer, host: str, port: int) -> Iterator[Place]:
    """Serve from a thread for as long as the block lasts; port 0 takes any free one, which the Place tells.

    Raises SettingError if the port is not to be had.
    """
    sockets: dict[int, Any] = {}
    server, place = _open(mailer, host, port, sockets)
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            wasyncore.loop(timeout=_LOOK_EVERY, map=sockets, count=1)

    thread = threading.Thread(target=loop, name="web", daemon=True)
    thread.start()
    try:
        yield place
    finally:
        stop.set()
        thread.join()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)


def _open(mailer: Mailer, host: str, port: int, sockets: dict[int, Any]) -> tuple[Any, Place]:
    _hide_tokens()
    listening = _listen(host, port)
    server = create_server(
        create_app(mailer),
        map=sockets,
        sockets=[listening],
        threads=_THREADS,
        ident=None,
        max_request_body_size=POST_LIMIT,  # the largest of all; the application has lower limits for its pages
        url_prefix=urlsplit(mailer.settings.public_url).path,
    )
    return server, Place(host, listening.getsockname()[1])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except OSError as error:
        problem = f"{host}:{port} cannot be used ({error.strerror or error})"
        remedy = "Stop what uses it, or choose another port (0 takes any free one)."
        raise SettingError(variable="JLGC_MAILER_WEB_PORT", problem=problem, remedy=remedy) from None


class _WithoutTokens(logging.Filter):
    """Waitress names the path of a request that broke off; what is unguessable in it is left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _TOKEN.sub(r"/\1/...", record.getMessage())
        record.args = ()
        return True


def _hide_tokens() -> None:
    waitress = logging.getLogger("waitress")
    if not any(isinstance(each, _WithoutTokens) for each in waitress.filters):
        waitress.addFilter(_WithoutTokens())
