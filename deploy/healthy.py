"""The image's health check: asks /healthz at whichever port this container's settings name."""

import os
import sys
import urllib.error
import urllib.request

PORTS = ("LAB_INGEST_HEALTH_PORT", "LAB_ANALYTICS_HEALTH_PORT", "LAB_API_PORT")


def main() -> None:
    """Exit 0 when the service says that it works; else say what is wrong and exit 1."""
    ports = [os.environ[name] for name in PORTS if os.environ.get(name)]
    if len(ports) != 1:
        sys.exit(f"exactly one of {', '.join(PORTS)} must be set")
    url = f"http://127.0.0.1:{ports[0]}/healthz"
    try:
        urllib.request.urlopen(url, timeout=8).close()
    except urllib.error.HTTPError as error:  # 503: the body says which part
        sys.exit(f"{url}: {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main()
