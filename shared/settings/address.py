"""What every setting that is an address is held to."""

from urllib.parse import unquote, urlsplit


def require_port(url: str) -> None:
    """Refuse a port that is none without quoting it: a / in a password makes that part one."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError(
            "what stands after the host's colon is no port; in a password write / as %2F, @ as %40"
        ) from None


def plain(part: str | None) -> str | None:
    """A part of a URL without its percent signs: a password may hold @ or / as %40 or %2F."""
    return None if part is None else unquote(part)
