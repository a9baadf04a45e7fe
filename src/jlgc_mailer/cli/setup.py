"""`init`: an installation from nothing."""

import os
import secrets

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell

_FILE = """\
# Settings of jlgc_mailer. Variables of the environment win over this file.
# Keep the key secret and for ever: links in mail that was sent are signed with it.
JLGC_MAILER_SECRET_KEYS={key}

# Who writes (shown in every message):
#JLGC_MAILER_ORGANISATION_EN=Japan Local Government Centre, London
#JLGC_MAILER_ORGANISATION_JA=自治体国際化協会ロンドン事務所
#JLGC_MAILER_POSTAL_ADDRESS=Street, Town, Postcode, Country
#JLGC_MAILER_CONTACT=newsletter@example.org

# Where readers reach the pages, and the domains of our mail:
#JLGC_MAILER_PUBLIC_URL=https://news.example.org
#JLGC_MAILER_MAIL_DOMAIN=example.org
#JLGC_MAILER_BOUNCE_DOMAIN=bounce.example.org
#JLGC_MAILER_CONSOLE_PASSWORD=

# The relay that takes our mail:
#JLGC_MAILER_SMTP_HOST=smtp.example.org
#JLGC_MAILER_SMTP_PORT=465
#JLGC_MAILER_SMTP_SECURITY=tls
#JLGC_MAILER_SMTP_USER=
#JLGC_MAILER_SMTP_PASSWORD=

# Beyond one machine:
#JLGC_MAILER_DATABASE_URL=postgresql+psycopg://mailer:password@localhost/mailer
#JLGC_MAILER_BROKER_URL=redis://localhost:6379/0
"""


@click.command(epilog=example("jlgc-mailer init", "jlgc-mailer --home /srv/newsletter init"))
@pass_shell
def init(shell: Shell) -> None:
    """Prepare an installation: settings with a fresh key, and the database; safe to repeat.

    Settings that the environment brings are used as they are. An existing database is upgraded.
    """
    from jlgc_mailer.db.migrate import migrate
    from jlgc_mailer.settings import FILE_NAME, PREFIX

    shell.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = shell.home / FILE_NAME
    if not file.exists() and f"{PREFIX}SECRET_KEYS" not in os.environ:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(_FILE.format(key=secrets.token_urlsafe(32)))
        click.echo(f"Settings are in {file}. Look through them before you send.")
    migrate(shell.mailer.database)
    click.echo(f"The database at {shell.mailer.database.place} is ready.")
