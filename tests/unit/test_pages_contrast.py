"""What is said in colour can be read: WCAG 2.2 AA on every ground, by day and by night."""

import re

import pytest

from services.api.web.render import STATIC

GROUNDS = ("paper", "card", "tint")  # tint: under a value that has just changed
WORDS = ("ink", "quiet", "accent", "live", "silent", "info", "warning", "alarm", "critical")
WORDS += ("recorded", "simulated")
PAIR = re.compile(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
STYLES = (STATIC / "pages.css").read_text(encoding="utf-8")
COLOURS = {name: shades for name, *shades in PAIR.findall(STYLES)}


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("night", [False, True])
def test_every_word_can_be_read_on_every_ground(word: str, night: bool) -> None:
    poor = {
        ground: ratio
        for ground in GROUNDS
        if (ratio := contrast(COLOURS[word][night], COLOURS[ground][night])) < 4.5
    }
    assert poor == {}
