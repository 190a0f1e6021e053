"""Pages of this machine in headless Chromium: what they log as errors, and what they ask of a network, is collected.

A test file has `pytest_plugins = ["browser"]` and its tests the fixture `open_page`.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
HERE = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def open_page() -> Iterator[Callable[..., tuple[Page, list[str]]]]:
    """`page, complaints = open_page(path)`: the file, loaded in a window of its own, which has no network.

    The complaints grow while the page lives: console errors, exceptions that nobody caught, requests that failed, and
    requests that would leave this machine. Keywords are the window's: viewport, color_scheme and so on. Skipped where
    the system has no Chromium.
    """
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no Chromium on the PATH ({', '.join(NAMES)})")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)

        def opened(path: Path, **window) -> tuple[Page, list[str]]:
            page, said = browser.new_page(offline=True, **window), []
            page.on("console", lambda message: message.type == "error" and said.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: said.append(f"exception: {error}"))
            page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
            page.on("request", lambda request: request.url.startswith(HERE) or said.append(f"foreign: {request.url}"))
            page.goto(path.resolve().as_uri())
            return page, said

        yield opened
        browser.close()
