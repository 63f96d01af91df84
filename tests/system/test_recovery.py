"""What a person or a scheduler can do to a run in a real Airflow, and what stands in OSS afterwards.

Guarantees 16 and 17: whatever is killed, cleared or frozen, the objects hold the table's rows once each, those of a
window each of its changes, or a failed task says which one to clear. The oracles are the function that made the rows
and the writer's journal, never the emulator.
"""

from __future__ import annotations

import json
import os
import signal

from tests.system.place import Place
from tests.system.recovery import TASKS, attempts, frozen, one_at_work


def found_published(place: Place, dag_id: str, run_id: str) -> int:
    """Of how many windows the run's latest attempt says that they stood already and were not read."""
    told = place.stack.xcom(dag_id, run_id, "export")
    return int((json.loads(told) if isinstance(told, str) else told)["windows_found_published"])


def test_a_run_publishes_the_table(place):
    run_id = place.run("quick")

    assert len(place.tasks("quick", run_id, "export")) == TASKS
    assert place.differences("quick") == ""


def test_a_cleared_export_task_alone_leaves_the_publication_right(place):
    run_id = place.run("clear_one")

    task = place.tasks("clear_one", run_id, "export")[0]["task_id"]
    place.clear("clear_one", run_id, task, map_index=1, downstream=False)
    place.wait("clear_one", run_id, "success")

    assert place.differences("clear_one") == ""


def test_a_cleared_export_task_with_its_downstream_publishes_again(place):
    run_id = place.run("clear_down")

    task = place.tasks("clear_down", run_id, "export")[0]["task_id"]
    place.clear("clear_down", run_id, task, map_index=1, downstream=True)
    place.wait("clear_down", run_id, "success")

    assert place.tasks("clear_down", run_id, "publish")[0]["try_number"] == 2
    assert place.differences("clear_down") == ""


def test_a_cleared_publish_task_finds_its_work_done(place):
    run_id = place.run("clear_publish")

    task = place.tasks("clear_publish", run_id, "publish")[0]["task_id"]
    place.clear("clear_publish", run_id, task, downstream=False)
    place.wait("clear_publish", run_id, "success")

    assert place.differences("clear_publish") == ""


def test_a_frozen_export_attempt_that_wakes_up_changes_nothing(place):
    run_id = place.stack.trigger("frozen")

    with frozen(place, "frozen", run_id):
        place.wait("frozen", run_id, "success")

    assert place.stack.run_state("frozen", run_id) == "success"
    assert place.differences("frozen") == ""


def test_a_killed_export_attempt_is_retried_and_nothing_is_doubled(place):
    run_id = place.stack.trigger("killed")
    victim = one_at_work(place, "killed", run_id)

    os.kill(victim["pid"], signal.SIGKILL)
    place.wait("killed", run_id, "success")

    assert max(t["try_number"] for t in place.tasks("killed", run_id, "export")) == 2
    assert place.differences("killed") == ""


def test_a_cleared_window_task_leaves_the_publication_right(place, windows):
    run_id = place.run("window", windows.asked(0))

    place.clear("window", run_id, "export", downstream=False)
    place.wait("window", run_id, "success")

    assert attempts(place, "window", run_id, "export") == [2]
    assert found_published(place, "window", run_id) == 1
    assert windows.differences(place, "window", 0) == ""


def test_a_cleared_window_task_that_was_forced_publishes_again(place, windows):
    run_id = place.run("window", windows.asked(1, force=True))

    place.clear("window", run_id, "export", downstream=False)
    place.wait("window", run_id, "success")

    assert attempts(place, "window", run_id, "export") == [2]
    assert found_published(place, "window", run_id) == 0
    assert windows.differences(place, "window", 1) == ""


def test_a_frozen_window_attempt_that_wakes_up_changes_nothing(place, windows):
    run_id = place.stack.trigger("window_slow", windows.asked(2))

    with frozen(place, "window_slow", run_id):
        place.wait("window_slow", run_id, "success")

    assert place.stack.run_state("window_slow", run_id) == "success"
    assert windows.differences(place, "window_slow", 2) == ""


def test_a_cleared_part_of_a_window_alone_leaves_the_publication_right(place, windows):
    run_id = place.run("window_mapped", windows.asked(3))

    place.clear("window_mapped", run_id, "export", map_index=1, downstream=False)
    place.wait("window_mapped", run_id, "success")

    assert attempts(place, "window_mapped", run_id, "export") == [1, 2, 1]
    assert attempts(place, "window_mapped", run_id, "publish") == [1]
    assert windows.differences(place, "window_mapped", 3) == ""


def test_a_cleared_part_of_a_window_with_its_downstream_publishes_again(place, windows):
    run_id = place.run("window_mapped", windows.asked(4))

    place.clear("window_mapped", run_id, "export", map_index=1, downstream=True)
    place.wait("window_mapped", run_id, "success")

    assert attempts(place, "window_mapped", run_id, "export") == [1, 2, 1]
    assert attempts(place, "window_mapped", run_id, "publish") == [2]
    assert windows.differences(place, "window_mapped", 4) == ""


def test_a_cleared_publication_of_a_window_finds_its_work_done(place, windows):
    run_id = place.run("window_mapped", windows.asked(5))

    place.clear("window_mapped", run_id, "publish", downstream=False)
    place.wait("window_mapped", run_id, "success")

    assert attempts(place, "window_mapped", run_id, "export") == [1, 1, 1]
    assert attempts(place, "window_mapped", run_id, "publish") == [2]
    assert windows.differences(place, "window_mapped", 5) == ""
