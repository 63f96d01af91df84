"""A headless Chromium for all tests of this folder, and what is kept when one of them fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.ui import PAGE_MILLIS
from tests.system.debian import Absent, chromium, not_run
from tests.system.processes import adopt_orphans, left_behind
from tests.system.services import stop_on_signals


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Ends last, for it begins first."""
    stop_on_signals()
    adopt_orphans()
    yield
    assert left_behind() == []


@pytest.fixture(scope="session")
def browser(nothing_is_left_running: None) -> Iterator[Any]:
    try:
        program = chromium()
    except Absent as reason:
        not_run(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses root; the pages are our own.
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=PAGE_MILLIS
        )
        yield started
        started.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failed test keeps a screenshot, the page's text and the trace, and says where."""
    report = yield
    ui = getattr(item, "funcargs", {}).get("ui")
    if report.when == "call" and report.failed and ui is not None:
        report.sections.append(("browser", f"screenshot.png, page.txt and trace.zip are in {ui.keep_evidence()}"))
    return report
