"""How our sensors wait: a question is asked by the worker once, then by the triggerer; or by the worker all the time.

Which question it is, and what its answer means, is left to the sensors.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_tablestore.errors import RetryLater
from airflow_tablestore.operators.retries import retried_only_where_it_helps
from airflow_tablestore.triggers.question import Answer

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger


class QuestionSensor(BaseSensorOperator):
    """Waits for the answer to a question; `timeout` bounds the waiting. Not used by itself.

    With `soft_fail` it is skipped wherever it would time out or fail for good. Airflow does so for sensors that wait in
    a worker; for those in the triggerer, Airflow 3.1 forgets the timeout.
    """

    deferrable: bool
    """Wait without a worker, in the triggerer; False keeps to `mode`."""

    @abstractmethod
    def question(self, context: Context) -> BaseTrigger:
        """The question, from the arguments as they are now."""

    @abstractmethod
    def ask(self, question: Any) -> Answer | None:
        """The answer to what `question` returned; None: not yet.

        :raises RetryLater: nobody answers now; this may pass.
        """

    def told(self, context: Context, found: Any) -> Any:
        """What the task returns of what was found out."""
        return found

    def execute(self, context: Context) -> Any:
        if not self.deferrable:
            return self.told(context, super().execute(context))
        with self._skipped_where_soft(), retried_only_where_it_helps():
            question = self.question(context)
            answer = self._answer(question)
            if answer is None:
                patience = timedelta(seconds=self.timeout)
                self.defer(trigger=question, method_name="execute_complete", timeout=patience)
            return self.told(context, found_in(answer))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        with self._skipped_where_soft():
            return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: Answer) -> Any:
        """What the triggerer wakes up with its answer."""
        return self.told(context, found_in(event))

    def poke(self, context: Context) -> PokeReturnValue:
        with retried_only_where_it_helps():
            answer = self._answer(self.question(context))
        return PokeReturnValue(answer is not None, None if answer is None else found_in(answer))

    def _answer(self, question: BaseTrigger) -> Answer | None:
        try:
            return self.ask(question)
        except RetryLater as error:
            self.log.warning("Asking again later: %s", error)
            return None

    @contextmanager
    def _skipped_where_soft(self) -> Iterator[None]:
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout) as error:
            if self.soft_fail:
                raise AirflowSkipException(str(error)) from error
            raise


def found_in(answer: Mapping[str, Any]) -> Any:
    """What was found out.

    :raises AirflowFailException: that there will be no better answer.
    """
    if "error" in answer:
        raise AirflowFailException(answer["error"])
    return answer["done"]
