"""The corpus is read as a careful person reads it."""

import pytest

from jlgc_mailer.mail.reports.read import as_dicts, read_report
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.mail.reports.verdict import Evidence, weigh
from jlgc_mailer.states import FeedbackClass
from tests.mail.reports import matrix
from tests.mail.reports.corpus import FOLDER, Sample, replies, samples

_RULES = default_rules()


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.name)
def test_a_report_is_read_as_a_careful_person_reads_it(sample: Sample) -> None:
    """F4, F5, F6, F7: class, recipient and status of every report of the corpus."""
    read = read_report(sample.data, _RULES)
    assert sorted((each.feedback_class.value, each.recipient or "") for each in read) == sorted(
        (each.feedback_class, each.recipient or "") for each in sample.expected
    )
    statuses = {each.recipient: each.status for each in read}
    assert all(statuses[each.recipient] == each.status for each in sample.expected if each.status)


@pytest.mark.parametrize(("expected", "text"), replies())
def test_a_reply_of_a_server_is_read_by_its_words(expected: str, text: str) -> None:
    """F5, F6"""
    assert weigh(Evidence(diagnostic=text), _RULES).feedback_class == expected


def test_every_file_of_the_corpus_is_expected_and_there_are_many() -> None:
    names = {sample.name for sample in samples()}
    assert {path.name for path in FOLDER.glob("*.eml")} == names
    assert len(names) >= 70


def test_hard_bounces_are_found_and_nothing_else_is_called_hard() -> None:
    """F6: of the hard ones 97 % at least, and at most 0.5 % of what is called hard is not."""
    for counts in (matrix.of_reports(), matrix.of_replies()):
        assert matrix.recall(counts, "hard") >= 0.97
        assert matrix.wrong(counts, "hard") <= 0.005


def test_every_hard_one_says_why() -> None:
    hard = [
        signal
        for sample in samples()
        for signal in read_report(sample.data, _RULES)
        if signal.feedback_class is FeedbackClass.HARD
    ]
    assert all(each.rule and each.diagnosis and each.status and 0 < each.confidence <= 1 for each in hard)


def test_signals_of_a_file_are_values_for_json() -> None:
    sample = next(sample for sample in samples() if sample.name == "postfix-01.eml")
    assert as_dicts("postfix-01.eml", read_report(sample.data, _RULES)) == [
        {
            "file": "postfix-01.eml",
            "recipient": "kaneko@example.jp",
            "class": "hard",
            "status": "5.1.1",
            "diagnosis": (
                "550 5.1.1 <kaneko@example.jp>: Recipient address rejected: User unknown in virtual mailbox table"
            ),
            "rule": "user-unknown",
            "confidence": 0.95,
            "remote_mta": "mail.example.jp",
        }
    ]
