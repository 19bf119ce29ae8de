"""Turns a template and its facts into a response in the reader's language."""

from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.convertors import IntegerConvertor, register_url_convertor

from services.api.access.visit import Visit
from services.api.listing import Page
from services.api.web import i18n, labels
from services.api.web.facts import facts, said
from services.api.web.i18n import Language

ALL: Final = Page(10_000)  # of a list that a page shows whole
STATIC: Final = Path(__file__).parent / "static"
LANGUAGES: Final = i18n.load()
# What every answer carries beside these: services/api/gate/headers.py.
_HEADERS: Final = {"Vary": "Accept-Language, Cookie", "Cache-Control": "no-cache"}
_A_YEAR: Final = 365 * 86_400


class _Number(IntegerConvertor):
    """A number in an address; of thousands of digits Python would make none."""

    regex = "[0-9]{1,30}"


register_url_convertor("number", _Number())


def language_of(request: Request) -> Language:
    """The language this reader asked for: query, cookie, header, English."""
    return LANGUAGES[
        i18n.choose(
            request.query_params.get("lang"),
            request.cookies.get(i18n.COOKIE),
            request.headers.get("accept-language"),
        )
    ]


def page(
    request: Request, template: str, status: HTTPStatus = HTTPStatus.OK, **facts: Any
) -> HTMLResponse:
    """Render one page; a language asked for by `?lang=` is kept in a cookie."""
    language = language_of(request)
    visit: Visit | None = getattr(request.state, "visit", None)
    html = (
        _ENVIRONMENTS[language.code]
        .get_template(template)
        .render(request=request, address=partial(_address, request), visit=visit, **facts)
    )
    response = HTMLResponse(html, status, _HEADERS)
    if request.query_params.get("lang") == language.code:
        secure = request.url.scheme == "https"
        response.set_cookie(
            *(i18n.COOKIE, language.code), _A_YEAR, secure=secure, httponly=True, samesite="lax"
        )
    return response


def missing(request: Request) -> HTMLResponse:
    """The page that says there is no such page."""
    return page(request, "missing.html", HTTPStatus.NOT_FOUND)


def failed(request: Request, status: HTTPStatus) -> HTMLResponse:
    """The page that says why another cannot be shown; needs no database."""
    return page(request, "failed.html", status, why=labels.FAILED[status])


def _address(request: Request, **changes: str | None) -> str:
    """This page with some query parameters set, or dropped where None; never the language."""
    asked = {**request.query_params, "lang": None, **changes}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    path = f"/{request.url.path.lstrip('/')}"  # // would lead to another host
    return f"{path}?{query}" if query else path


def _static(name: str) -> str:
    """Address of a static file that changes when the file does."""
    return f"/static/{name}?v={_DIGESTS[name]}"


def _channel(language: Language, key: str) -> str:
    station, label = labels.channel(key)
    return ", ".join(each for each in (station, language.word(label)) if each)


def _digests() -> Mapping[str, str]:
    own = (path for path in STATIC.iterdir() if path.is_file())
    return {path.name: blake2b(path.read_bytes(), digest_size=6).hexdigest() for path in own}


def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=PackageLoader("services.api.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(
        word=language.word,
        number=language.number,
        short=language.short,
        percent=language.percent,
        moment=language.moment,
        second=language.second,
        day=language.day,
        ago=language.ago,
        duration=language.duration,
        said=partial(said, language),
        unit=labels.unit_sign,
        property_label=lambda key: language.word(labels.property_label(key)),
        channel=partial(_channel, language),
        decimals=labels.property_decimals,
    )
    environment.globals.update(
        language=language,
        languages=LANGUAGES.values(),
        labels=labels,
        facts=facts,
        static=_static,
    )
    return environment


_DIGESTS: Final = _digests()
_ENVIRONMENTS: Final = {code: _environment(each) for code, each in LANGUAGES.items()}
