"""Reading a report: from any octets to one signal per recipient (STANDARDS F4 to F8)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from jlgc_mailer.mail.reports import arf, status_groups
from jlgc_mailer.mail.reports.addresses import addresses_in, read_address
from jlgc_mailer.mail.reports.freetext import read_sections, replies_in
from jlgc_mailer.mail.reports.headers import read_fields
from jlgc_mailer.mail.reports.parts import Message, open_message
from jlgc_mailer.mail.reports.returned import candidates, message_ids
from jlgc_mailer.mail.reports.rules import Rules, Scope
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.reports.status_groups import Group
from jlgc_mailer.mail.reports.verdict import Evidence, weigh
from jlgc_mailer.mail.reports.view import View, views
from jlgc_mailer.states import FeedbackClass

_RECEIPTS = frozenset({"message/disposition-notification", "message/global-disposition-notification"})
_DONE = frozenset({"delivered", "relayed", "expanded"})  # RFC 3464 2.3.3: successes
_REPLY_OF_A_PERSON = re.compile(r"\s{0,9}(?:re|aw|sv|antw|odp|r[eé]p)\s?: ", re.IGNORECASE)  # "Re: Undeliverable ..."
_PASSED_ON = re.compile(r"\s{0,9}(?:re|aw|sv|antw|odp|r[eé]p|fwd?|wg|tr|rv|enc|vb|pd)\s?: ?", re.IGNORECASE)
_SEARCHED = 256_000  # octets in which a token of ours is looked for
_SURE, _LIKELY = 0.95, 0.8
_RECIPIENTS = 500  # of one report that are told apart: no letter of ours has more than one
HEARSAY = 0.3  # the confidence in what a person says of a report
TOO_MANY = "too-many-recipients"  # the rule of a signal which says that not all of a report was read


def read_report(data: bytes, rules: Rules) -> tuple[Signal, ...]:
    """What a message says, one signal per recipient and at least one, for any octets at all."""
    message = open_message(data)
    seen = views(message)
    signals = _structured(seen, rules) or _in_words(seen, rules)
    if _is_by_a_person(seen[0], rules):
        signals = [replace(signal, confidence=min(signal.confidence, HEARSAY)) for signal in signals]
    senders = candidates([*_texts(message), data[:_SEARCHED].decode("latin-1")])
    ids = message_ids(message.headers, [headers for _, headers in message.returned] + seen[0].returned)
    return tuple(replace(signal, senders=senders, message_ids=ids) for signal in signals)


def as_dicts(file: str, signals: Sequence[Signal]) -> list[dict[str, object]]:
    """The signals of a file as values for JSON."""
    return [
        {
            "file": file,
            "recipient": signal.recipient,
            "class": signal.feedback_class.value,
            "status": signal.status,
            "diagnosis": signal.diagnosis,
            "rule": signal.rule,
            "confidence": signal.confidence,
            "remote_mta": signal.remote_mta,
        }
        for signal in signals
    ]


def _texts(message: Message) -> list[str]:
    """What does not stand in the open: encoded parts, and header fields within them."""
    encoded = [part for part in message.parts if part.headers.first("content-transfer-encoding")]
    fields = [" ".join(value for _, value in headers.fields) for _, headers in message.returned]
    return fields + [part.octets().decode("latin-1") for part in encoded[:20]]


def _structured(seen: Sequence[View], rules: Rules) -> list[Signal]:
    """What a part made for programs says, in the outermost message that has one."""
    for view in seen:
        signals = _complaint(view) or _receipt(view) or _notification(view, rules)
        if signals:
            return signals
    return []


def _complaint(view: View) -> list[Signal]:
    """A feedback report; whom it names is a guess beside the token in the returned header fields (F7)."""
    for part in view.parts({arf.MEDIA}):
        complaint = arf.read_complaint(part.text())
        diagnosis = " ".join(view.text[:500].split()) or f"Feedback-Type: {complaint.kind}"
        return [
            Signal(complaint.feedback_class, recipient, None, complaint.source, diagnosis, f"arf-{complaint.kind}"[:80])
            for recipient in (*complaint.recipients, *view.returned_to[:1], None)[: max(len(complaint.recipients), 1)]
        ]
    return []


def _receipt(view: View) -> list[Signal]:
    """A disposition notification (RFC 8098): a program opened or deleted the message, nothing more."""
    for part in view.parts(_RECEIPTS):
        recipient = read_address(read_fields(part.text()).first("final-recipient"))
        return [Signal(FeedbackClass.AUTO_REPLY, recipient, None, None, view.subject, "read-receipt", _SURE)]
    return []


def _notification(view: View, rules: Rules) -> list[Signal]:
    """The groups of a delivery status notification, in their part or, where the structure broke, in the text."""
    texts = [part.text() for part in view.parts(status_groups.MEDIA)]
    if not texts and status_groups.looks_like_groups(view.words):
        texts = [view.words]
    every = (group for text in texts for group in status_groups.read_groups(text))
    groups = list(islice(every, _RECIPIENTS + 1))
    telling = [each for each in groups[:_RECIPIENTS] if each.recipient or each.action or each.status]
    told = _of_groups(telling, view, rules) if telling else []
    if len(groups) > _RECIPIENTS:
        more = f"it names more than {_RECIPIENTS} recipients, of which these are read"
        told.append(Signal(FeedbackClass.UNKNOWN, None, None, None, more, TOO_MANY, _SURE))
    return told


def _of_groups(groups: Sequence[Group], view: View, rules: Rules) -> list[Signal]:
    """What they say, with the words that the report has about each recipient."""
    named = [group.recipient for group in groups if group.recipient]
    sections = read_sections(view.text, named or _failed(view), view.returned_to, view.ours)
    by_name = {(section.recipient or "").lower(): section.text for section in sections}
    alone = sections[0].recipient if len(groups) == 1 else None
    unique: dict[str, Group] = {}
    for number, group in enumerate(groups):
        name = (group.recipient or alone or "").lower() or str(number)
        if name not in unique or unique[name].action not in _DONE:  # a member of a list failed, the list did not
            unique[name] = group
    return [
        _of_group(
            group, group.recipient or alone, by_name.get((group.recipient or alone or "").lower(), ""), view, rules
        )
        for group in unique.values()
    ]


def _of_group(group: Group, recipient: str | None, section: str, view: View, rules: Rules) -> Signal:
    evidence = Evidence(recipient, group.diagnosis, group.status, section, "", group.remote_mta)
    signal = replace(weigh(evidence, rules), behind=group.behind)
    if group.action == "delayed":
        return replace(signal, feedback_class=FeedbackClass.SOFT, rule="delayed", confidence=_SURE)
    if group.action in _DONE or (not group.action and (group.status or "").startswith("2.")):
        return replace(
            signal, feedback_class=FeedbackClass.AUTO_REPLY, status=group.status, rule="success", confidence=_SURE
        )
    return signal


def _is_by_a_person(view: View, rules: Rules) -> bool:
    """Whether somebody tells of a report, answers one or passes it on: it may be about anybody."""
    if rules.is_report(Scope.HEADER, view.header_text):
        return False
    return _PASSED_ON.match(view.subject) is not None or not rules.is_report(Scope.SUBJECT, view.subject)


def _failed(view: View) -> list[str]:
    """Exim and Gmail name the recipients in a field of the header."""
    return addresses_in(" ".join(view.headers.every("x-failed-recipients"))[:20_000])


def _in_words(seen: Sequence[View], rules: Rules) -> list[Signal]:
    """What a message without such a part says, as its sender, its subject and its words show it to be."""
    outer = seen[0]
    for view in seen:
        if rules.is_report(Scope.HEADER, view.header_text):
            signals = _bounces(view, rules)
            if view is outer or any(each.feedback_class is not FeedbackClass.UNKNOWN for each in signals):
                return _unless_unknown(signals, outer, rules)
    answer = _answer(outer, Scope.SUBJECT, outer.subject, rules)
    if answer:
        return answer
    bounces = _bounces(outer, rules)
    if _is_report_by_subject(outer, bounces, rules):
        return _unless_unknown(bounces, outer, rules)
    answer = _answer(outer, Scope.HEADER, outer.header_text, rules)
    if answer:
        return answer
    if rules.is_report(Scope.TEXT, outer.text) or (outer.returned and replies_in(outer.text)):
        return bounces
    return [Signal(FeedbackClass.UNKNOWN, None, None, None, outer.subject[:500], "no-report", _LIKELY)]


def _is_report_by_subject(view: View, bounces: list[Signal], rules: Rules) -> bool:
    """Whether the subject is a report's and something is behind it: a person may write about bounces, too."""
    if _REPLY_OF_A_PERSON.match(view.subject) or not rules.is_report(Scope.SUBJECT, view.subject):
        return False
    return bool(view.returned or replies_in(view.text) or any(each.recipient for each in bounces))


def _unless_unknown(signals: list[Signal], view: View, rules: Rules) -> list[Signal]:
    """A program's answer may have a report's sender or subject; a report that says why it came has none."""
    if any(each.feedback_class is not FeedbackClass.UNKNOWN for each in signals):
        return signals
    said = _answer(view, Scope.SUBJECT, view.subject, rules)
    if said or _failed(view) or view.returned:  # Exim marks its reports auto-replied too, and nobody would see them
        return said or signals
    return _answer(view, Scope.HEADER, view.header_text, rules) or signals


def _bounces(view: View, rules: Rules) -> list[Signal]:
    sections = read_sections(view.text, _failed(view), view.returned_to, view.ours)
    subject = view.subject if len(sections) == 1 else ""  # it may be about any of several
    return [weigh(Evidence(each.recipient, section=each.text, subject=subject), rules) for each in sections]


def _answer(view: View, scope: Scope, text: str, rules: Rules) -> list[Signal]:
    """An auto-reply, a challenge or an unsubscribe, about whoever sent it; or a complaint about what it returns."""
    found = rules.classify(scope, text)
    if found is None or found.rule.feedback_class is None:
        return []
    is_complaint = found.rule.feedback_class is FeedbackClass.COMPLAINT
    about = view.returned_to if is_complaint else addresses_in(view.headers.text("from")[:2_000])
    return [
        Signal(
            found.rule.feedback_class, next(iter(about), None), None, None, view.subject[:500], found.rule.id, _LIKELY
        )
    ]
