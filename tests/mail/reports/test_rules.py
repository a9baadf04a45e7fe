"""The rules are data: each is held to its examples, and a wrong file is refused with a reason."""

import pytest

from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.mail.reports.rules import Rule, Rules, Scope, default_rules, read_rules
from jlgc_mailer.states import FeedbackClass

_OWN = """
[[rule]]
id = "our-neighbour"
class = "soft"
scope = "diagnostic"
patterns = ['no such user.{0,20}until monday']
source = "our neighbour's postmaster"
examples = ["550 no such user here until Monday"]
"""


@pytest.mark.parametrize("rule", default_rules().rules, ids=lambda rule: rule.id)
def test_a_rule_is_the_first_to_match_its_examples_and_names_its_source(rule: Rule) -> None:
    """F5, F6"""
    assert rule.examples
    assert rule.source
    for example in rule.examples:
        if rule.feedback_class is None:
            assert default_rules().is_report(rule.scope, example)
        else:
            digit = "4" if rule.only == "transient" else ""
            found = default_rules().classify(rule.scope, example, digit)
            assert found is not None
            assert found.rule.id == rule.id


def test_ids_of_rules_are_unique() -> None:
    ids = [rule.id for rule in default_rules().rules]
    assert len(ids) == len(set(ids))


_SAID_BY_ALL = """
This is the mail system at host mx.example.org.
I'm sorry to have to inform you that your message could not be delivered to one or more recipients. It's attached below.
For further assistance, please send mail to postmaster. If you do so, please include this problem report.
You can delete your own text from the attached returned message. The mail system
Hi. This is the qmail-send program at mail.example.org.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.
This message was created automatically by mail delivery software.
A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.
The following address(es) failed:
The original message was received at Mon, 2 Nov 2026 10:00:00 GMT from localhost [127.0.0.1]
----- The following addresses had permanent fatal errors -----
----- Transcript of session follows -----
Delivery has failed to these recipients or groups:
Diagnostic information for administrators: Generating server: mail.example.com
I am sending you this message to inform you on the delivery status of a message you previously sent.
以下の宛先へメールを配信できませんでした。
This e-mail was scanned for viruses and spam.
"""


@pytest.mark.parametrize("text", _SAID_BY_ALL.strip().split("\n"))
def test_what_mail_systems_say_in_every_report_is_no_reason_for_hard(text: str) -> None:
    """F5: words without a reason suppress nobody."""
    found = default_rules().classify(Scope.TEXT, text)
    assert found is None or found.rule.feedback_class is not FeedbackClass.HARD


def _decided(rules: Rules, text: str, digit: str = "") -> Rule:
    found = rules.classify(Scope.DIAGNOSTIC, text, digit)
    assert found is not None
    return found.rule


@pytest.mark.parametrize(
    ("text", "is_hard"),
    [
        ("550 5.1.1 no such domain", True),
        ("550 mail rejected: no such domain for sender", False),
        ("550 user unknown", True),
        ("550 user unknown or refused by your contact list", False),
    ],
)
def test_words_about_the_sender_nearby_take_a_match_back(text: str, is_hard: bool) -> None:
    """F6: `unless`"""
    found = default_rules().classify(Scope.DIAGNOSTIC, text)
    assert (found is not None and found.rule.feedback_class is FeedbackClass.HARD) is is_hard


def test_own_rules_come_before_those_of_the_package() -> None:
    text = "550 No such user here until Monday"
    assert _decided(default_rules(), text).feedback_class is FeedbackClass.HARD
    both = read_rules(_OWN, "own.toml").before(default_rules())
    assert _decided(both, text).id == "our-neighbour"


def test_the_sentence_that_decided_is_told_with_its_addresses() -> None:
    text = "Hello. Your letter to <bob@example.com> failed: no such user <bob@example.com>. Good bye."
    found = default_rules().classify(Scope.TEXT, text)
    assert found is not None
    assert found.sentence == "Your letter to <bob@example.com> failed: no such user <bob@example.com>."


def test_words_inside_addresses_are_no_reason() -> None:
    """F6: a reader whose name is spam is not blocked."""
    found = default_rules().classify(Scope.DIAGNOSTIC, "<spam.detected@mailbox-full.example>: no such user")
    assert found is not None
    assert found.rule.id == "user-unknown"


def test_a_rule_for_permanent_replies_leaves_transient_ones_alone() -> None:
    text = "Requested mail action not taken: mailbox unavailable"
    classes = [_decided(default_rules(), text, digit).feedback_class for digit in "54"]
    assert classes == [FeedbackClass.HARD, FeedbackClass.SOFT]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rule", "Expected"),
        ("rule = 3", "no list"),
        ("rule = [3]", "no table"),
        (_OWN.replace('"soft"', '"bad"'), "our-neighbour: ValueError 'bad'"),
        (_OWN.replace('"diagnostic"', '"nowhere"'), "our-neighbour: ValueError 'nowhere'"),
        (_OWN.replace("source", "sauce"), "our-neighbour: KeyError 'source'"),
        (_OWN.replace("{0,20}", "*"), "write * as a bounded repetition"),
        (_OWN.replace("{0,20}", "{1,}"), "write {1,} as a bounded repetition"),
        (_OWN.replace("{0,20}", "("), "our-neighbour: error"),
        (_OWN.replace("['no such user.{0,20}until monday']", "3"), "our-neighbour: TypeError"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_problem(text: str, problem: str) -> None:
    with pytest.raises(InvalidFile) as error:
        read_rules(text, "own.toml")
    assert "own.toml" in str(error.value)
    assert problem in str(error.value)


def test_no_rules_say_nothing() -> None:
    assert Rules().classify(Scope.TEXT, "550 no such user") is None
