"""What a person does in Airflow's web UI, as the verbs of that person.

Found by roles and test ids, for Airflow 3.3; the time zone and the language are the browser's, so both are fixed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from playwright.sync_api import Browser, Error, Locator, Page, expect

PATIENCE_MILLIS = 600_000
"""For what a run must do first."""
PAGE_MILLIS = 120_000
"""For what the page itself must do; Playwright's own 5 s are short on a busy machine."""
_WIDE_GRID = """localStorage.setItem('react-resizable-panels:grid-ltr',
    '{"details-panel,main-panel":{"expandToSizes":{},"layout":[45,55]}}')"""

expect.set_options(timeout=PAGE_MILLIS)


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Ui]:
    """A fresh browser window on this Airflow, with nothing remembered."""
    context = browser.new_context(
        base_url=url, timezone_id="UTC", locale="en-US", viewport={"width": 1600, "height": 1000}
    )
    context.set_default_timeout(PAGE_MILLIS)
    context.add_init_script(_WIDE_GRID)
    context.tracing.start(screenshots=True, snapshots=True)
    try:
        yield Ui(context.new_page())
    finally:
        with suppress(Error):  # it has ended already where evidence was kept
            context.tracing.stop()
        context.close()


class Ui:
    """One person at the browser."""

    def __init__(self, page: Page):
        self.page = page

    def open_dag(self, dag_id: str) -> None:
        """From the list of DAGs to the DAG's page."""
        self.page.goto("/dags")
        self.page.get_by_role("link", name=dag_id, exact=True).click()
        expect(self.page).to_have_url(re.compile(f"/dags/{re.escape(dag_id)}"))
        expect(self.page.get_by_test_id("dag-id")).to_have_count(0)  # the list has gone, with a button for each DAG

    def open_form(self, dag_id: str) -> Form:
        """The dialog behind the button "Trigger" of a DAG's page."""
        self.open_dag(dag_id)
        self.page.get_by_test_id("trigger-dag-button").click()
        heading = self.page.get_by_role("heading", name=re.compile("^(Trigger Dag|Run Backfill) - "))
        return Form(self.page, self.page.get_by_role("dialog").filter(has=heading))

    def wait_green(self, dag_id: str, count: int = 1, run_type: str = "") -> None:
        """Return when the DAG's page lists this many runs of this type, and all are successes."""
        self.page.goto(f"/dags/{dag_id}/runs?limit=25" + (f"&run_type={run_type}" if run_type else ""))
        badges = self.page.locator("[data-testid=table-list] tbody tr").get_by_test_id("state-badge")
        expect(badges.filter(has_text="Success")).to_have_count(count, timeout=PATIENCE_MILLIS)
        expect(badges).to_have_count(count)

    def keep_evidence(self) -> Path:
        """A screenshot, the page's text and the trace of what was done, in a new folder."""
        folder = Path(tempfile.mkdtemp(prefix="airflow-ui-"))
        self.page.screenshot(path=folder / "screenshot.png")
        (folder / "page.txt").write_text(f"{self.page.url}\n\n{self.page.inner_text('body')}")
        self.page.context.tracing.stop(path=folder / "trace.zip")
        return folder


class Form:
    """The dialog that starts one run, or a backfill."""

    def __init__(self, page: Page, dialog: Locator):
        self._page = page
        self._dialog = dialog

    def choose_backfill(self) -> None:
        self._dialog.get_by_text("Backfill", exact=True).click()

    def set_time(self, label: str, moment: datetime) -> None:
        """Fill a date field, to the minute. The time goes first: a date alone would at once mean the whole day."""
        with self._picker(label) as (picker, shown):
            picker.get_by_placeholder("HH:mm").fill(f"{moment:%H:%M}")
            picker.get_by_placeholder("YYYY/MM/DD").fill(f"{moment:%Y/%m/%d}")
        expect(shown).to_contain_text(f"{moment:%H:%M}")

    def clear_time(self, label: str) -> None:
        """Leave a date field empty that the form has filled in."""
        with self._picker(label) as (picker, shown):
            picker.get_by_placeholder("YYYY/MM/DD").fill("")
        expect(shown).not_to_contain_text(":")

    @contextmanager
    def _picker(self, label: str) -> Iterator[tuple[Locator, Locator]]:
        """The open picker of a date field, and what the field shows."""
        picker = self._page.locator("[data-scope=popover][data-part=content][data-state=open]")
        field = self._dialog.get_by_role("group").filter(has=self._page.get_by_text(label, exact=True)).last
        shown = field.get_by_test_id("datetime-input")
        shown.click()
        yield picker, shown
        self._dialog.get_by_role("heading", level=2).first.click()
        expect(picker).to_have_count(0)

    def set_active_runs(self, most: int) -> None:
        self._dialog.get_by_role("spinbutton").fill(str(most))

    def expect_text(self, text: str) -> None:
        expect(self._dialog.get_by_text(text)).to_be_visible()

    def start_backfill(self) -> None:
        self._submit("Run Backfill", "/api/v2/backfills")

    def trigger(self, dag_id: str) -> str:
        """Start the run; its run id."""
        return str(self._submit("Trigger", f"/api/v2/dags/{dag_id}/dagRuns")["dag_run_id"])

    def _submit(self, button: str, path: str) -> dict[str, object]:
        """Press the button; what the server answered to this form."""
        with self._page.expect_response(lambda r: r.url.endswith(path) and r.request.method == "POST") as answered:
            self._dialog.get_by_role("button", name=button, exact=True).click()
        assert answered.value.ok, f"{answered.value.status}: {answered.value.text()[:500]}"
        expect(self._dialog).to_have_count(0)
        return dict(answered.value.json())
