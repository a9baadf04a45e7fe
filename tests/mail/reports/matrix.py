"""The confusion matrix over the corpus: `python -m tests.mail.reports.matrix`."""

from collections import Counter

from jlgc_mailer.mail.reports.read import read_report
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.mail.reports.verdict import Evidence, weigh
from jlgc_mailer.states import FeedbackClass
from tests.mail.reports.corpus import replies, samples

Matrix = Counter[tuple[str, str]]


def of_reports() -> Matrix:
    """How often each class was expected and read, over recipients; one that was not found counts as unknown."""
    counts: Matrix = Counter()
    for sample in samples():
        read = {each.recipient: each.feedback_class.value for each in read_report(sample.data, default_rules())}
        for each in sample.expected:
            counts[each.feedback_class, read.get(each.recipient, FeedbackClass.UNKNOWN.value)] += 1
    return counts


def of_replies() -> Matrix:
    """The same over single replies of servers."""
    signals = [(expected, weigh(Evidence(diagnostic=text), default_rules())) for expected, text in replies()]
    return Counter((expected, signal.feedback_class.value) for expected, signal in signals)


def recall(counts: Matrix, feedback_class: str) -> float:
    """How many of those that are of this class were found."""
    of_class = sum(number for (expected, _), number in counts.items() if expected == feedback_class)
    return counts[feedback_class, feedback_class] / of_class


def wrong(counts: Matrix, feedback_class: str) -> float:
    """How many of those that are said to be of this class are not."""
    said = sum(number for (_, read), number in counts.items() if read == feedback_class)
    return 1 - counts[feedback_class, feedback_class] / said


def shown(title: str, counts: Matrix) -> str:
    """The matrix as lines: expected classes down, those read across."""
    names = [each.value for each in FeedbackClass]
    lines = [f"{title:22}" + "".join(f"{name:>13}" for name in names)]
    lines += [
        f"{expected:22}" + "".join(f"{counts[expected, read] or '.':>13}" for read in names)
        for expected in names
        if any(counts[expected, read] for read in names)
    ]
    lines.append(f"hard: recall {recall(counts, 'hard'):.1%}, wrong {wrong(counts, 'hard'):.2%}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(shown("reports", of_reports()), shown("replies", of_replies()), sep="\n\n")
