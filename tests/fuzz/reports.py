"""Fuzz the reading of reports: `make fuzz`, or `python -m tests.fuzz.reports -max_total_time=600`.

Atheris watches which code an input reaches and keeps what reaches more. It starts from the corpus.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["jlgc_mailer.mail.reports"]):
    from jlgc_mailer.mail.reports.read import as_dicts, read_report
    from jlgc_mailer.mail.reports.rules import default_rules

from tests.mail.reports.corpus import FOLDER

_RULES = default_rules()


def read_one(data: bytes) -> None:
    """Any octets give at least one signal that can be shown."""
    signals = read_report(data, _RULES)
    if not signals or any(len(str(shown["diagnosis"])) > 500 for shown in as_dicts("fuzz", signals)):
        raise AssertionError(signals)


def main() -> None:
    """Fuzz until told to stop; inputs that reach more code are kept in a folder that goes away."""
    with tempfile.TemporaryDirectory() as kept:
        seeds = Path(kept) / "seeds"
        seeds.mkdir()
        for path in FOLDER.glob("*.eml"):
            (seeds / path.name).write_bytes(path.read_bytes())
        limits = ["-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={kept}/"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(seeds)], read_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
