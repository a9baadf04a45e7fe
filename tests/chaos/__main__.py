"""Kill everything that can be killed while newsletters go out, on both pairs, and account for every recipient."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jlgc_mailer.states import DeliveryStatus
from tests.chaos.trial import PAIRS, OutOfPatience, Plan, Report, run

_READERS = {"postgresql": 50_000, "sqlite": 5_000}
_KILLS = {"postgresql": 60, "sqlite": 20}
_CONNECTIONS = {"postgresql": 16, "sqlite": 4}
_SECONDS = {"postgresql": 340, "sqlite": 160}
_HARD_LIMIT = 540


def main() -> int:
    """Run the trials asked for; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--pair", choices=PAIRS, help="only this one")
    parser.add_argument("--readers", type=int, help="of each of the two sends (default: 50,000; SQLite 5,000)")
    parser.add_argument("--kills", type=int, help="how many (default: 60; SQLite 20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="repeats the choices of a run")
    wishes = parser.parse_args()
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(_HARD_LIMIT)
    pairs = [wishes.pair] if wishes.pair else list(PAIRS)
    return max(_try(_plan(pair, wishes)) for pair in pairs)


def _give_up(*_: object) -> None:
    raise OutOfPatience


def _plan(pair: str, wishes: argparse.Namespace) -> Plan:
    readers, kills = wishes.readers or _READERS[pair], wishes.kills or _KILLS[pair]
    return Plan(pair, readers, kills, _CONNECTIONS[pair], _SECONDS[pair], wishes.seed)


def _try(plan: Plan) -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)
    print(f"{plan.pair}: two sends to {plan.readers:,} readers, {plan.kills} kills, --seed {plan.seed}", flush=True)
    try:
        report = run(plan, folder)
    except OutOfPatience:
        print(f"It did not end in time. Ledger and logs: {folder}", file=sys.stderr)
        return 1
    Console(width=100).print(_table(report))
    for promise in report.broken:
        print(f"BROKEN {promise}", file=sys.stderr)
    if report.broken:
        print(f"Ledger and logs: {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _table(report: Report) -> Table:
    """One column for each policy, and what holds for both."""
    table = Table(title=f"{report.plan.pair}, {report.seconds:.0f} s, seed {report.plan.seed}", title_justify="left")
    table.add_column("uncertain are")
    for story in report.stories:
        table.add_column({"hold": "held", "resend": "sent again"}[story.policy], justify="right")
    rows = {
        "recipients": [len(story.readers) for story in report.stories],
        "accepted": [story.standing(DeliveryStatus.ACCEPTED) for story in report.stories],
        "refused": [story.standing(DeliveryStatus.REFUSED) for story in report.stories],
        "uncertain at the end": [story.standing(DeliveryStatus.UNCERTAIN) for story in report.stories],
        "received": [sum(story.copies(each) > 0 for each in story.readers) for story in report.stories],
        "received twice": [story.again for story in report.stories],
        "uncertain attempts": [story.uncertain for story in report.stories],
        "  as the receiver hung up": [story.silences for story in report.stories],
        "  as something was killed": [story.uncertain - story.silences for story in report.stories],
    }
    for name, counts in rows.items():
        table.add_row(name, *(f"{count:,}" for count in counts))
    table.add_row(
        f"  at most, 2 x {report.hits} kills x {report.connections} connections", f"{report.most_uncertain:,}"
    )
    table.add_section()
    for name, times in report.strikes.items():
        table.add_row(f"killed: {name}", f"{times}")
    table.add_row("ended by itself and started again", f"{report.ended_alone}")
    return table


if __name__ == "__main__":
    sys.exit(main())
