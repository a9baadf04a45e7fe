"""The worker of the product with a signer that the product refuses: Ed25519 without RSA beside it (RFC 8463)."""

import sys
from collections.abc import Sequence
from functools import cached_property

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.mail.dkim import Signer
from jlgc_mailer.mail.dkim_keys import FOLDER, Algorithm, DkimKey, read_keys
from jlgc_mailer.settings import default_home, read_settings
from jlgc_mailer.worker.processes import run_worker


class OnlyEd25519(Signer):
    """Signs with the Ed25519 keys; needs an RSA key all the same."""

    def __init__(self, keys: Sequence[DkimKey]) -> None:
        super().__init__(keys)
        self._keys = [each for each in self._keys if each[0].algorithm is Algorithm.ED25519]


class Ed25519Mailer(Mailer):
    """An installation that signs so."""

    @cached_property
    def signer(self) -> OnlyEd25519:
        """The signer of the keys in the home folder."""
        return OnlyEd25519(read_keys(self.settings.home / FOLDER, self.settings.signing_domain))


if __name__ == "__main__":
    sys.exit(run_worker(Ed25519Mailer(read_settings(default_home())), concurrency=1))
