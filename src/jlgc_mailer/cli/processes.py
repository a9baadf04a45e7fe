"""The long-running commands: `serve` for one machine; `web`, `worker` and `beat` for many."""

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell
from jlgc_mailer.errors import SettingError

if TYPE_CHECKING:
    from jlgc_mailer.bootstrap import Mailer

_host = click.option("--host", help="Address to listen on.  [default: setting web_host, 127.0.0.1]")
_port = click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: setting web_port, 8025]")


@click.command(epilog=example("jlgc-mailer serve", "jlgc-mailer serve --port 8080"))
@_host
@_port
@pass_shell
def serve(shell: Shell, host: str | None, port: int | None) -> None:
    """Web pages, worker and beat in one process: all that a small office needs."""
    from jlgc_mailer.web.server import serving
    from jlgc_mailer.worker.processes import embedded

    mailer = shell.mailer
    mailer.checked_database()
    _log_to_stderr()
    own = mailer.settings
    with serving(mailer, host or own.web_host, own.web_port if port is None else port) as place, embedded(mailer):
        click.echo(f"The pages are at {place.url} -- Ctrl-C ends.", err=True)
        wait_for_end()


@click.command(epilog=example("jlgc-mailer web --host 0.0.0.0 --port 8025"))
@_host
@_port
@pass_shell
def web(shell: Shell, host: str | None, port: int | None) -> None:
    """The web pages alone; worker and beat run elsewhere."""
    from jlgc_mailer.web.server import serving

    mailer = shell.mailer
    mailer.checked_database()
    _log_to_stderr()
    own = mailer.settings
    with serving(mailer, host or own.web_host, own.web_port if port is None else port) as place:
        click.echo(f"The pages are at {place.url} -- Ctrl-C ends.", err=True)
        wait_for_end()


@click.command(epilog=example("jlgc-mailer worker", "jlgc-mailer worker --concurrency 8"))
@click.option("--concurrency", type=click.IntRange(1, 200), help="Processes.  [default: setting worker_concurrency]")
@pass_shell
def worker(shell: Shell, concurrency: int | None) -> None:
    """Worker processes that deliver batches, each over several connections; start as many as you like.

    How many connections and messages a relay takes is a matter of settings and of transports.toml.
    """
    from jlgc_mailer.worker.processes import run_worker

    mailer = _with_shared_broker(shell)
    sys.exit(run_worker(mailer, concurrency or mailer.settings.worker_concurrency))


@click.command(epilog=example("jlgc-mailer beat"))
@pass_shell
def beat(shell: Shell) -> None:
    """The clock: asks workers every few seconds for what is due. One is enough; two do no harm."""
    from jlgc_mailer.worker.processes import run_beat

    run_beat(_with_shared_broker(shell))


def _with_shared_broker(shell: Shell) -> "Mailer":
    mailer = shell.mailer
    if mailer.settings.broker_url.startswith("memory:"):
        raise SettingError(
            variable="JLGC_MAILER_BROKER_URL",
            problem="is memory://, which no other process can reach",
            remedy="Use jlgc-mailer serve, or set it to redis://HOST:6379/0.",
        )
    mailer.checked_database()
    mailer.require_broker()
    return mailer


def wait_for_end() -> None:
    """Until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def _log_to_stderr() -> None:
    """Our own news, and of the libraries only trouble: every tick would be three lines."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for library in ("celery", "kombu"):
        logging.getLogger(library).setLevel(logging.ERROR)
