import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.render.lint import lint


def document(content: str) -> str:
    return f"<mjml>\n<mj-body>\n<mj-section>\n<mj-column>\n{content}\n</mj-column>\n</mj-section>\n</mj-body>\n</mjml>"


def test_a_sound_document_has_no_findings() -> None:
    assert lint(document('<mj-text color="#000000"><p>a <b>b</b></p></mj-text><mj-image src="x" alt="" />')) == ()


@pytest.mark.parametrize(
    ("content", "line", "column", "problem"),
    [
        ("<mj-txt>a</mj-txt>", 5, 1, "<mj-txt> is not a tag"),
        ("\n  <div>a</div>", 6, 3, "<div> is not a tag"),
        ("<mj-text colour='#000000'>a</mj-text>", 5, 1, "<mj-text> has no attribute 'colour'"),
        ("<mj-section></mj-section>", 5, 1, "<mj-section> may not stand in <mj-column>"),
        ("<mj-text><p><mj-image src='x' /></p></mj-text>", 5, 13, "<mj-image> may not stand in <p>"),
        ("<mj-text><b>a</mj-text>", 5, 16, "this is not well-formed XML (mismatched tag)"),
        ("<mj-text>a & b</mj-text>", 5, 13, "this is not well-formed XML"),
        ("<mj-text>&nbsp;</mj-text>", 5, 10, "this is not well-formed XML (undefined entity)"),
    ],
)
def test_what_mrml_would_silently_get_wrong_is_found_with_line_and_column(
    content: str, line: int, column: int, problem: str
) -> None:
    [finding] = lint(document(content))
    assert (finding.line, finding.column) == (line, column)
    assert finding.problem.startswith(problem)
    assert finding.remedy


def test_each_fault_is_a_finding_of_its_own() -> None:
    assert [finding.line for finding in lint(document('<mj-a/>\n<mj-text a="" b="">x</mj-text>'))] == [5, 6, 6]


def test_a_document_begins_with_mjml() -> None:
    assert "begins with <html>" in lint("<html></html>")[0].problem


@given(st.text())
def test_any_text_can_be_linted(text: str) -> None:
    assert isinstance(lint(text), tuple)
