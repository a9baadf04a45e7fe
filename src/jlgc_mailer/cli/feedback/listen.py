"""`feedback listen`: the listener as a process."""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from jlgc_mailer.feedback.listener import Listener

_File = click.Path(path_type=Path)


@click.command(
    epilog=example(
        "jlgc-mailer feedback listen",
        "jlgc-mailer feedback listen --socket /run/jlgc-mailer/reports",
        "jlgc-mailer feedback listen --smtp --host 0.0.0.0 --port 25",
    )
)
@click.option("--lmtp/--smtp", "is_lmtp", default=True, help="The language of who hands reports over.  [default: lmtp]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8024, show_default=True, help="Port; 0 is any free one.")
@click.option("--socket", type=click.Path(path_type=Path), help="A socket file to listen on instead.")
@click.option(
    "--accept", multiple=True, default=("postmaster", "abuse"), help="Local parts to take besides those with a token."
)
@click.option("--certificate", type=_File, help="Certificate chain in PEM: offers STARTTLS.")
@click.option("--key", type=_File, help="Its private key, if that is in a file of its own.")
@pass_shell
def listen(
    shell: Shell,
    is_lmtp: bool,
    host: str,
    port: int,
    socket: Path | None,
    accept: tuple[str, ...],
    certificate: Path | None,
    key: Path | None,
) -> None:
    """Take reports for the bounce domain from a mail server, or from all of them as its MX.

    It takes only addresses of ours, and says 250 only when the report is in the database.
    """
    from jlgc_mailer.feedback.listener import Listener
    from jlgc_mailer.mail.reports.envelope import OurAddresses

    shell.mailer.checked_database()
    _log_to_stderr()
    mailer, others = shell.mailer, {name.lower() for name in accept}
    addresses = OurAddresses(mailer.settings.bounce_domain, mailer.keyring, others)
    listener = Listener(mailer.database, addresses, mailer.clock, _tls(certificate, key))
    asyncio.run(_listen(listener, host, port, socket, is_lmtp=is_lmtp))


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key:
            raise click.UsageError("--key is of no use without --certificate.")
        return None
    missing = next((each for each in (certificate, key) if each and not each.is_file()), None)
    if missing:
        raise click.BadParameter(f"File '{missing}' does not exist.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one, with a reason of its own
        problem = getattr(error, "reason", None) or error.strerror
        remedy = "It holds the certificate in PEM, and its private key unless --key names a file with that."
        raise click.BadParameter(f"{certificate} is not usable: {problem}. {remedy}") from None
    return context


async def _listen(listener: "Listener", host: str, port: int, socket: Path | None, *, is_lmtp: bool) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    factory = listener.lmtp if is_lmtp else listener.smtp
    try:
        server, place = await (_at_address(factory, host, port) if socket is None else _at_file(factory, socket))
    except (OSError, UnicodeError) as error:  # a host that can be no name is a UnicodeError
        raise click.ClickException(f"Cannot listen at {socket or f'{host}:{port}'}: {_words_of(error)}.") from error
    click.echo(f"Listening at {place} ({'LMTP' if is_lmtp else 'SMTP'}) -- Ctrl-C ends.", err=True)
    try:
        await listener.serve(server, ended)
    finally:
        if socket is not None:
            with contextlib.suppress(OSError):
                socket.unlink()


async def _at_address(factory: "Callable[[], asyncio.Protocol]", host: str, port: int) -> tuple[asyncio.Server, str]:
    server = await asyncio.get_running_loop().create_server(factory, host, port)
    return server, ":".join(map(str, server.sockets[0].getsockname()[:2]))


async def _at_file(factory: "Callable[[], asyncio.Protocol]", file: Path) -> tuple[asyncio.Server, str]:
    server = await asyncio.get_running_loop().create_unix_server(factory, file)
    file.chmod(0o666)  # who may enter its folder may hand over reports, whichever user the mail server is
    return server, str(file)


def _words_of(error: Exception) -> str:
    """What went wrong; asyncio would repeat the place, in words of its own."""
    if isinstance(error, UnicodeError):
        return "That is no name of a host"
    number = getattr(error, "errno", None) or 0  # below 0 it is one of getaddrinfo
    return os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)


def _log_to_stderr() -> None:
    """Our own news; of aiosmtpd only trouble: it logs every line that is said."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mail.log").setLevel(logging.ERROR)
