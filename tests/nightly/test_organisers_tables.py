"""The organiser's page lists every setting as the records have it."""

from benchmark.nightly import document


def test_the_page_is_current() -> None:
    text = document.TARGET.read_text("utf-8")
    assert text == document.render(text), "run `python -m benchmark.nightly.document`"
