"""A new user's first minutes: the demo's link, a password, a key, a call, its end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from shared.embedded.nats import free_port
from tests.e2e.conftest import PATIENCE_S

pytestmark = [pytest.mark.database, pytest.mark.browser, pytest.mark.long]
LINK = re.compile(r"http://\S+/sign-in/link\?token=\S+")
PASSWORD = "three boats on a quiet river"


@dataclass(frozen=True)
class Demo:
    """Where a demo answers, and the link it printed."""

    address: str
    link: str


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """`lab demo` as a new user starts it, read until it has printed its link."""
    port = free_port()
    command = [*(sys.executable, "-m", "services.cli", "demo", "--scenario", "bandung-poc")]
    command += ["--data", str(tmp_path / "lab"), "--port", str(port)]
    command += ["--mqtt-port", str(free_port())]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LAB_")}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=clean)
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not (found := LINK.search((tmp_path / "out").read_text())):
        assert process.poll() is None, (tmp_path / "out").read_text()
        assert time.monotonic() < deadline, (tmp_path / "out").read_text()
        time.sleep(0.2)
    yield Demo(f"http://127.0.0.1:{port}", found.group())
    process.send_signal(signal.SIGTERM)  # what runs in a background ignores SIGINT
    process.wait(2 * PATIENCE_S)


async def shot(page: Page, pictures: Path, name: str) -> None:
    await page.screenshot(path=pictures / f"access-{name}.png", full_page=True)


async def called(demo: Demo, key: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(
            f"{demo.address}/v1/devices", headers={"Authorization": f"Bearer {key}"}
        )


@pytest.mark.timeout(600)
async def test_from_the_printed_link_to_a_key_that_is_refused(
    browser: Browser, demo: Demo, pictures: Path
) -> None:
    context = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(demo.address)  # public in the demo
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    await page.goto(f"{demo.address}/findings")  # not public: asked to sign in
    await expect(page).to_have_url(re.compile(r"/sign-in\?next=%2Ffindings"))
    await shot(page, pictures, "sign-in")

    await page.goto(demo.link)
    await expect(page.get_by_text("You are admin")).to_be_visible()
    await page.get_by_label("New password").fill(PASSWORD)
    await shot(page, pictures, "link")
    await page.get_by_role("button", name="Set password and sign in").click()
    await page.get_by_role("link", name="admin").click()

    await page.get_by_label("What is it for?").fill("my dashboard")
    await page.get_by_role("button", name="Make a key").click()
    key = await page.locator("#key").inner_text()
    await shot(page, pictures, "key")
    answer = await called(demo, key)
    assert answer.status_code == 200
    assert answer.json()["items"]

    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("The key is revoked")).to_be_visible()
    await shot(page, pictures, "revoked")
    answer = await called(demo, key)
    assert answer.status_code == 401

    for path, name in (("/admin", "admin"), ("/admin/audit", "audit"), ("/outcomes", "outcomes")):
        await page.goto(demo.address + path)
        await shot(page, pictures, name)
    await page.goto(f"{demo.address}/admin/audit")
    await expect(page.get_by_role("cell", name="revoke", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/sign-in$"))
    await page.goto(demo.link)
    await expect(page.get_by_text("This link is not good any more")).to_be_visible()
    assert complaints == []
    await context.close()
