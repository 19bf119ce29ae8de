"""Every text of the pages is translated into every language, placeholders and all."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from services.analytics.outcomes.metric import metrics
from services.analytics.pilot import kinds
from services.api.web import i18n
from shared import catalogue
from shared.domain.property import PROPERTIES

WEB = i18n.DIRECTORY.parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]


def wanted() -> set[str | tuple[str, ...]]:
    """Message ids in code and templates, and the menu board's names."""
    found: set[str | tuple[str, ...]] = {
        message for _, _, message, _, _ in extract_from_dir(WEB, METHODS, strip_comment_tags=True)
    }
    found |= {domain["name_in_figure_10"] for domain in catalogue.menu_board()["domains"]}
    found |= {service["name"] for service in catalogue.services()}
    return found


def labels() -> set[str]:
    """Labels of plug-ins: one file adds one, so English stands in until a language has it."""
    found = {each.label for each in PROPERTIES.values()}
    found |= {metric.label for metric in metrics().values()}
    for kind in kinds().values():
        found |= {kind.label, *(panel.title for panel in kind.panels)}
        found |= {finding.label for finding in kind.findings}
    return found


@pytest.fixture(params=list(i18n.LOCALES))
def catalog(request: pytest.FixtureRequest) -> Catalog:
    path: Path = i18n.DIRECTORY / request.param / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return read_po(file, locale=request.param, abort_invalid=True)


def strings(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|<[^>]+>", text))


def test_no_text_lacks_a_translation(catalog: Catalog) -> None:
    def translated(message_id: str | tuple[str, ...]) -> bool:
        found = catalog.get(message_id)
        return found is not None and found.id == message_id and all(strings(found))

    missing = sorted(map(str, (each for each in wanted() if not translated(each))))
    assert missing == []


def test_no_translation_is_left_over_or_doubtful(catalog: Catalog) -> None:
    known = wanted() | labels()
    assert [each.id for each in catalog if each.id and each.id not in known] == []
    assert [each.id for each in catalog if each.id and each.fuzzy] == []


def test_placeholders_and_links_survive_translation(catalog: Catalog) -> None:
    for message in catalog:
        source = message.id if isinstance(message.id, str) else message.id[-1]
        for string in strings(message) if message.id else []:
            assert placeholders(string) == placeholders(source), message.id


def test_every_plural_form_of_the_language_is_there(catalog: Catalog) -> None:
    for message in catalog:
        if isinstance(message.id, tuple):
            assert len(message.string) == catalog.num_plurals, message.id


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "chosen"),
    [
        ("ko", "id", "en", "ko"),
        (None, "id", "ko", "id"),
        ("xx", None, "fr, ko;q=0.5, id;q=0.9", "id"),
        (None, "<script>", "id-ID,id;q=0.9,en;q=0.8", "id"),
        (None, None, "de;q=oops, , ;q=", "en"),
        (None, None, None, "en"),
    ],
)
def test_the_language_is_chosen_by_query_then_cookie_then_header(
    asked: str | None, kept: str | None, accepted: str | None, chosen: str
) -> None:
    assert i18n.choose(asked, kept, accepted) == chosen
