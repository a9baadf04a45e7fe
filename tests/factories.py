"""Rows for tests, made through the same use cases that the product uses."""

from datetime import UTC, datetime
from itertools import count

from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.audience.lists import create_list
from jlgc_mailer.audience.subscriptions import Evidence, confirm, person
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.importing import IssueFiles, read_edition
from jlgc_mailer.content.issues import compiled_artefacts, import_issue
from jlgc_mailer.db.issues import Revision
from jlgc_mailer.db.people import MailingList, Subscriber
from jlgc_mailer.db.sending import Send
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.schedule import Order, schedule
from jlgc_mailer.states import Language, Priority, UncertainPolicy

_numbers = count(1)
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

ENGLISH = """---
subject: News of the summer
preheader: What happened in June and July
season: Summer 2024
from: JLGC London <newsletter@example.org>
---

# A summer in Whitehall

Dear {{ name|reader }},

Welcome to the summer issue.

## Visit to the park

We went to see [the Olympic Park](https://example.org/park) with colleagues (同僚).
"""

JAPANESE = """---
subject: 夏のニュース
preheader: 6月と7月のできごと
season: 2024年夏号
from: クレアロンドン事務所 <newsletter@example.org>
---

# ホワイトホールの夏

{{ name|読者の皆 }}様

夏号をお届けします。

## 公園への訪問

同僚とともに[オリンピック・パーク](https://example.org/park)を訪れました。
"""


def mailing_list(session: Session, name: str = "news") -> MailingList:
    """A list; its creation time does not matter to tests."""
    return create_list(session, name, "JLGC News", "クレアニュース", _LONG_AGO)


def subscriber(
    session: Session,
    mailing_list: MailingList,
    address: str | None = None,
    name: str = "Aiko Tanaka",
    language: Language = Language.ENGLISH,
    zone: str = "",
) -> Subscriber:
    """A confirmed subscriber of the list."""
    someone = person(address or f"reader{next(_numbers)}@example.com", name, language, zone)
    confirm(session, [someone], mailing_list.id, Evidence("test", "I agreed in a test"), _LONG_AGO)
    return session.scalars(select(Subscriber).where(Subscriber.address_key == someone.address.key)).one()


def issue(session: Session, mailer: Mailer, slug: str = "summer-2024") -> Revision:
    """A small issue in two languages, imported, frozen and compiled."""
    texts = {Language.ENGLISH: ENGLISH, Language.JAPANESE: JAPANESE}
    editions = tuple(
        read_edition(text, f"{language}.md", slug, language, tuple(set(texts) - {language}))
        for language, text in texts.items()
    )
    return import_issue(session, IssueFiles(slug, editions, {}), mailer.press, mailer.clock()).revision


def send(
    session: Session,
    mailer: Mailer,
    revision: Revision,
    lists: list[MailingList],
    *,
    planned: bool = True,
    batch_size: int = 100,
    on_uncertain: UncertainPolicy = UncertainPolicy.HOLD,
    due_at: datetime | None = None,
    priority: Priority = Priority.NORMAL,
    local_time: bool = False,
) -> Send:
    """A send that is due now, in London; planned unless told otherwise."""
    now = mailer.clock()
    artefacts = compiled_artefacts(session, revision, mailer.press, now)
    order = Order(due_at or now, "Europe/London", lists, on_uncertain, batch_size, priority, local_time)
    created = schedule(session, artefacts, order, now)
    if planned:
        plan(session, created.id, now, mailer.keyring.key_id)
    session.flush()
    return created
