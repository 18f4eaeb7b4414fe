"""The example application in a real browser: headless Chromium, its pages clicked through, its passkeys made.

With AUTHSQL_WRITE_SCREENSHOTS=1 the pages are written to docs/screenshots.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions
from selenium.webdriver.support.ui import WebDriverWait

from examples.webapp.app import create_app
from examples.webapp.settings import Settings
from tests.examples.test_webapp import totp_code
from tests.servers import Database
from tests.support import FAST

SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
ANN, PASSWORD = "ann@example.org", "correct horse battery staple"


def _browser() -> tuple[str, str]:
    """Chromium and its driver, of Debian or of whoever runs this."""
    for chromium in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(chromium) and shutil.which("chromedriver"):
            return str(shutil.which(chromium)), str(shutil.which("chromedriver"))
    pytest.fail(
        "Chromium and chromedriver are missing. On Debian: apt-get install chromium chromium-driver",
        pytrace=False,
    )


@pytest.fixture
def driver() -> Iterator[webdriver.Chrome]:
    chromium, chromedriver = _browser()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--force-color-profile=srgb",
        "--window-size=900,1100",
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path=chromedriver)
    found = webdriver.Chrome(options=options, service=service)
    try:
        found.set_page_load_timeout(60)
        yield found
    finally:
        found.quit()


@pytest.fixture
def origin(database: Database) -> Iterator[str]:
    """The application, listening on a port of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    address = f"http://localhost:{listener.getsockname()[1]}"
    app = create_app(Settings(database.url, origin=address, policy=FAST))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield address
    server.should_exit = True
    thread.join(30)
    app.state.database.close()
    listener.close()


class Page:
    """What a person does."""

    def __init__(self, driver: webdriver.Chrome, origin: str) -> None:
        self.driver, self.origin = driver, origin

    def go(self, path: str) -> None:
        self.driver.get(self.origin + path)

    def find(self, selector: str) -> Any:
        return WebDriverWait(self.driver, 30).until(lambda d: d.find_element(By.CSS_SELECTOR, selector))

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            element = self.find(f"main [name={name}]:not([type=hidden])")
            element.clear()
            element.send_keys(value)

    def press(self, label: str) -> None:
        """Press a button, and wait until the page that it was on has gone."""
        wanted = label.replace(" ", "")
        buttons = [
            each
            for each in self.driver.find_elements(By.TAG_NAME, "button")
            if each.is_displayed() and each.text.replace(" ", "").replace("\n", "") == wanted
        ]
        assert buttons, f"no button {label!r} in {self.text}"
        buttons[0].click()
        WebDriverWait(self.driver, 30).until(lambda _: _gone(buttons[0]))

    def open(self, summary: str) -> None:
        for each in self.driver.find_elements(By.TAG_NAME, "summary"):
            if each.text == summary:
                each.click()
                return
        raise AssertionError(summary)

    @property
    def text(self) -> str:
        return str(self.find("main").text)

    @property
    def title(self) -> str:
        return str(self.find("h1").text)

    def code(self) -> str:
        """The code in the newest mail."""
        here = self.driver.current_url
        self.go("/mailbox")
        found = re.search(r"\b(\d{6})\b", self.find("pre.mail").text)
        assert found
        self.driver.get(here)
        return found[1]

    def picture(self, name: str) -> None:
        if os.environ.get("AUTHSQL_WRITE_SCREENSHOTS"):
            SCREENSHOTS.mkdir(exist_ok=True)
            self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


def _gone(element: Any) -> bool:
    from selenium.common.exceptions import WebDriverException

    try:
        element.is_enabled()
    except WebDriverException:
        return True
    return False


def test_a_life_in_the_browser(driver: webdriver.Chrome, origin: str) -> None:
    page = Page(driver, origin)
    page.go("/sign-up")
    page.fill(email=ANN, name="Ann", password=PASSWORD)
    page.picture("sign-up")
    page.press("Sign up")
    assert page.title == "Check your mail"
    code = page.code()
    page.go("/mailbox")
    page.picture("mailbox")
    page.go(f"/sign-up/confirm?email={ANN}")
    page.fill(code=code)
    page.picture("check-your-mail")
    page.press("Go on")
    assert page.title == "Your account"

    page.open("Add an authenticator app")
    forms = driver.find_elements(By.CSS_SELECTOR, "form[action='/totp'] input[name=password]")
    forms[0].send_keys(PASSWORD)
    page.press("Add authenticator")
    secret = page.find("#secret").text
    page.picture("authenticator")
    page.fill(code=totp_code(secret, 0))
    page.press("Confirm")
    assert page.title == "Recovery codes"
    codes = page.find("#codes").text.split()
    page.picture("recovery-codes")
    page.go("/")
    assert page.find("#aal").text == "2"

    driver.add_virtual_authenticator(
        VirtualAuthenticatorOptions(
            transport="internal", has_resident_key=True, has_user_verification=True, is_user_verified=True
        )
    )
    page.open("Add a passkey")
    page.find("#passkey-password").send_keys(PASSWORD)
    page.press("Add a passkey")
    WebDriverWait(driver, 30).until(lambda d: d.find_element(By.ID, "passkeys").text == "1")
    page.picture("account")
    page.press("Sign out")

    assert page.title == "Sign in"
    page.picture("sign-in")
    page.press("Sign in with a passkey")
    assert page.title == "Your account"
    assert page.find("#aal").text == "2"
    page.press("Sign out")

    page.fill(email=ANN, password=PASSWORD)
    page.press("Sign in")
    assert page.title == "Second factor"
    page.picture("second-factor")
    page.fill(code=codes[0])
    page.press("Go on")
    assert page.title == "Your account"
    page.go("/activity")
    assert "passkey.added" in page.text
    page.picture("activity")
    log: Any = driver.get_log
    assert not [entry for entry in log("browser") if entry["level"] == "SEVERE"]
