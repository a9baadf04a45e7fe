"""`dkim`: the keys that sign our mail, and what has to be published for them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json

if TYPE_CHECKING:
    from jlgc_mailer.mail.dkim_keys import DkimKey


@click.group(epilog=example("jlgc-mailer dkim keygen", "jlgc-mailer dkim show"))
def dkim() -> None:
    """DKIM keys: all those in the folder `dkim` of the home folder sign every letter."""


@dkim.command(epilog=example("jlgc-mailer dkim keygen", "jlgc-mailer dkim keygen --ed25519"))
@click.option("--selector", help="Name of the key in the DNS.  [default: jlgc-DATE, for Ed25519 jlgc-DATEe]")
@click.option("--ed25519", is_flag=True, help="Make an Ed25519 key, which signs beside the RSA key.")
@pass_shell
def keygen(shell: Shell, selector: str | None, ed25519: bool) -> None:
    """Make a key, and print its DNS record.

    It is RSA with 2048 bits. Nothing signs with it until the processes are started again.
    """
    from jlgc_mailer.errors import NotAllowedNow
    from jlgc_mailer.mail.dkim_keys import Algorithm, new_key, read_keys, write_key

    folder, domain = _place(shell)
    algorithm = Algorithm.ED25519 if ed25519 else Algorithm.RSA
    name = selector or f"jlgc-{shell.mailer.clock():%Y%m%d}{'e' if ed25519 else ''}"
    if ed25519 and not any(key.algorithm is Algorithm.RSA for key in read_keys(folder, domain)):
        problem, remedy = "Ed25519 signs only beside RSA", "Run first: jlgc-mailer dkim keygen"
        raise NotAllowedNow(kind="DKIM key", name=name, action="made", problem=problem, remedy=remedy)
    key = new_key(algorithm, domain, name)
    click.echo(f"The private key is in {write_key(folder, key)}. Keep it secret.")
    _show(key)
    click.echo(
        "When the record can be seen in the DNS, start all processes again: from then on they sign with this key."
    )


@dkim.command(epilog=example("jlgc-mailer dkim show", "jlgc-mailer dkim show --json"))
@as_json
@pass_shell
def show(shell: Shell, as_json: bool) -> None:
    """The DNS records of all keys."""
    from jlgc_mailer.mail.dkim_keys import read_keys

    keys = read_keys(*_place(shell))
    if as_json:
        show_json([_facts(key) for key in keys])
        return
    for key in keys:
        _show(key)
    if not keys:
        click.echo("There are no keys, so mail is not signed here. See: jlgc-mailer dkim keygen -h")


def _place(shell: Shell) -> tuple[Path, str]:
    from jlgc_mailer.mail.dkim_keys import FOLDER

    return shell.home / FOLDER, shell.mailer.settings.signing_domain


def _facts(key: "DkimKey") -> dict[str, object]:
    from jlgc_mailer.mail.dkim_keys import character_strings

    return {
        "selector": key.selector,
        "algorithm": key.algorithm,
        "name": key.record_name,
        "value": key.record_value,
        "strings": character_strings(key.record_value),
    }


def _show(key: "DkimKey") -> None:
    """Print the record for a form in a browser, and as a line of a zone file."""
    from jlgc_mailer.mail.dkim_keys import character_strings

    strings = " ".join(f'"{part}"' for part in character_strings(key.record_value))
    click.echo(f"\nTXT record of {key.selector} ({key.algorithm}):")
    click.echo(f"  name   {key.record_name}")
    click.echo(f"  value  {key.record_value}")
    click.echo(f"In a zone file:\n  {key.record_name}. IN TXT ( {strings} )\n")
