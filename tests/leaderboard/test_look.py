"""Contrast of every text colour on every ground it stands on, in both themes, by the formula of WCAG 2.2 (1.4.3)."""

import re
from pathlib import Path

import pytest

import leaderboard

CSS = (Path(leaderboard.__file__).parent / "static/site.css").read_text()


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{3,6})", block))


LIGHT = colours(CSS[CSS.index(":root {") : CSS.index("@media (prefers-color-scheme: dark)")])
DARK = {**LIGHT, **colours(CSS[CSS.index("@media (prefers-color-scheme: dark)") : CSS.index("*, *::before")])}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.01
    )  # the grey that WCAG's papers name as failing


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(theme: dict[str, str]) -> None:
    assert DARK != LIGHT
    pairs = [(text, ground) for text in ("ink", "soft", "link") for ground in ("ground", "panel", "bad-ground")]
    pairs += [
        ("phantom", "phantom-ground"),
        ("real", "real-ground"),
        ("bad", "bad-ground"),
        ("bad", "ground"),
        ("bad", "panel"),
    ]
    for text, ground in pairs:
        assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    pairs = [("ink", f"{side}-{step}") for side in ("better", "worse") for step in (1, 2, 3)]
    for text, ground in pairs:
        assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    for drawing in (
        "bar",
        "strong",
        "traditional",
        "learned",
        "generative",
        "other",
    ):  # graphics that carry meaning: 3 : 1 (1.4.11)
        assert contrast(theme[drawing], theme["ground"]) >= 3, drawing
