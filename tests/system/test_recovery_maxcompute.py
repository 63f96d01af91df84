"""What a person or a scheduler can do to a run in a real Airflow, and what a table of MaxCompute holds afterwards.

Guarantees 13 and 17: what is cleared after the commit either finds its work done or fails with the name of the task to
clear; the table holds the rows once each all the while. Read back with pyodps; the oracles are the function that made
the rows and the writer's journal.
"""

from __future__ import annotations

from tests.system.recovery import attempts, frozen

ADVICE = "Clear the task 'plan' with its downstream"


def clear_part(place, dag_id, run_id, *, downstream):
    """Clear one of the mapped export tasks, and let the run end as it will."""
    task = place.tasks(dag_id, run_id, "export")[0]["task_id"]
    place.clear(dag_id, run_id, task, map_index=1, downstream=downstream)
    place.settle(dag_id, run_id)


def failed(place, dag_id, run_id):
    """The log of the one export task that failed."""
    (task,) = [one for one in place.tasks(dag_id, run_id, "export") if one["state"] == "failed"]
    return place.stack.log(dag_id, run_id, task["task_id"], task["try_number"], task["map_index"])


def start_over(place, dag_id, run_id):
    """What the advice says."""
    plan = place.tasks(dag_id, run_id, "plan")[0]["task_id"]
    place.clear(dag_id, run_id, plan, downstream=True)
    place.wait(dag_id, run_id, "success")


def test_a_cleared_export_task_says_what_to_clear_instead(place):
    run_id = place.run("mc_clear_one")

    clear_part(place, "mc_clear_one", run_id, downstream=False)

    assert ADVICE in failed(place, "mc_clear_one", run_id)
    assert place.differences_in_table("mc_clear_one") == ""


def test_what_is_advised_for_a_cleared_export_task_loads_anew(place):
    run_id = place.run("mc_clear_down")
    clear_part(place, "mc_clear_down", run_id, downstream=True)
    told, between = failed(place, "mc_clear_down", run_id), place.differences_in_table("mc_clear_down")

    start_over(place, "mc_clear_down", run_id)

    assert ADVICE in told
    assert between == ""
    assert place.differences_in_table("mc_clear_down") == ""


def test_a_cleared_publish_task_finds_its_work_done(place):
    run_id = place.run("mc_publish")

    task = place.tasks("mc_publish", run_id, "publish")[0]["task_id"]
    place.clear("mc_publish", run_id, task, downstream=False)
    place.wait("mc_publish", run_id, "success")

    assert attempts(place, "mc_publish", run_id, "publish") == [2]
    assert place.differences_in_table("mc_publish") == ""


def test_a_frozen_export_attempt_that_wakes_up_loads_nothing(place):
    run_id = place.stack.trigger("mc_frozen")

    with frozen(place, "mc_frozen", run_id):
        place.wait("mc_frozen", run_id, "success")

    assert place.stack.run_state("mc_frozen", run_id) == "success"
    assert place.differences_in_table("mc_frozen") == ""


def test_a_cleared_window_task_leaves_its_partition_right(place, windows):
    run_id = place.run("mc_window", windows.asked(0))

    place.clear("mc_window", run_id, "export", downstream=False)
    place.wait("mc_window", run_id, "success")

    assert attempts(place, "mc_window", run_id, "export") == [2]
    assert windows.differences_in_table(place, "mc_window", 0) == ""


def test_a_cleared_window_task_that_was_forced_loads_again(place, windows):
    run_id = place.run("mc_window", windows.asked(1, force=True))

    place.clear("mc_window", run_id, "export", downstream=False)
    place.wait("mc_window", run_id, "success")

    assert windows.differences_in_table(place, "mc_window", 1) == ""


def test_a_frozen_window_attempt_that_wakes_up_loads_nothing(place, windows):
    run_id = place.stack.trigger("mc_window_slow", windows.asked(2))

    with frozen(place, "mc_window_slow", run_id):
        place.wait("mc_window_slow", run_id, "success")

    assert place.stack.run_state("mc_window_slow", run_id) == "success"
    assert windows.differences_in_table(place, "mc_window_slow", 2) == ""


def test_a_cleared_part_of_a_window_says_what_to_clear_instead(place, windows):
    run_id = place.run("mc_window_mapped", windows.asked(3))

    clear_part(place, "mc_window_mapped", run_id, downstream=False)

    assert ADVICE in failed(place, "mc_window_mapped", run_id)
    assert windows.differences_in_table(place, "mc_window_mapped", 3) == ""


def test_what_is_advised_for_a_cleared_part_of_a_window_loads_anew(place, windows):
    run_id = place.run("mc_window_mapped", windows.asked(4))
    clear_part(place, "mc_window_mapped", run_id, downstream=True)
    told, between = (
        failed(place, "mc_window_mapped", run_id),
        windows.differences_in_table(place, "mc_window_mapped", 4),
    )

    start_over(place, "mc_window_mapped", run_id)

    assert ADVICE in told
    assert between == ""
    assert windows.differences_in_table(place, "mc_window_mapped", 4) == ""


def test_a_cleared_publication_of_a_window_finds_its_work_done(place, windows):
    run_id = place.run("mc_window_mapped", windows.asked(5))

    place.clear("mc_window_mapped", run_id, "publish", downstream=False)
    place.wait("mc_window_mapped", run_id, "success")

    assert attempts(place, "mc_window_mapped", run_id, "publish") == [2]
    assert windows.differences_in_table(place, "mc_window_mapped", 5) == ""
