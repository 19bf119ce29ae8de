"""The image's health check: asks /healthz at whichever port this container's settings name."""

import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

PORTS = ("LAB_INGEST_HEALTH_PORT", "LAB_ANALYTICS_HEALTH_PORT", "LAB_API_PORT")


def main() -> None:
    """Exit 0 when the service says that it works; else say what is wrong and exit 1."""
    ports = [os.environ[name] for name in PORTS if os.environ.get(name)]
    if len(ports) != 1:
        sys.exit(f"exactly one of {', '.join(PORTS)} must be set")
    url, unverified = f"http://127.0.0.1:{ports[0]}/healthz", None
    if ports[0] == os.environ.get("LAB_API_PORT"):
        url = f"{_api(os.environ)}:{ports[0]}/healthz"
        # On this machine, and the certificate is for the name that people use.
        unverified = ssl._create_unverified_context()
    try:
        urllib.request.urlopen(url, timeout=8, context=unverified).close()
    except urllib.error.HTTPError as error:  # 503: the body says which part
        sys.exit(f"{url}: {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"{url}: {error}")


def _api(settings: Mapping[str, str]) -> str:
    """Where the API listens, as the settings of the container say."""
    scheme = "https" if settings.get("LAB_API_TLS_CERT") else "http"
    host = settings.get("LAB_API_HOST") or "127.0.0.1"
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{here}]" if ":" in here else f"{scheme}://{here}"


if __name__ == "__main__":
    main()
