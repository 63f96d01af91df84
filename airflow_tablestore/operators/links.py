"""Links from a task in the web UI to what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey


class PublishedObjectsLink(BaseOperatorLink):
    """From a publish task to a listing of its objects.

    The address is known only when the task has read its connection; the task pushes it, and here it is read back,
    which happens on the worker, at the end of the task.
    """

    name = "Published objects"
    key = "published_objects_url"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return XCom.get_value(key=self.key, ti_key=ti_key) or ""

    @classmethod
    def remember(cls, context: Context, url: str) -> None:
        """Keep the address for this task instance."""
        context["ti"].xcom_push(key=cls.key, value=url)
