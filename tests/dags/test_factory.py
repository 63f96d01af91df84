"""Spec files become DAGs, and a bad one harms nobody but itself."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.factory import dag_from_spec, import_spec, load_specs
from airflow_tablestore.factory.load import dags_of

GALLERY = Path(__file__).parents[2] / "dags"
GOOD = """\
pipeline: {name}
kind: full_export
source: {{table: orders}}
sink: {{type: oss, bucket: backup, prefix: {name}/}}
"""
BAD = """\
pipeline: broken
kind: full_export
source: {tabel: orders}
sink: {type: oss, bucket: backup, prefix: ""}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "specs").mkdir()
    return tmp_path / "specs"


def put(folder, name, text=None, *, of=""):
    (folder / name).write_text(GOOD.format(name=of or Path(name).stem) if text is None else text)
    return folder / name


def one(path):
    dags, errors = import_spec(path)
    assert errors == []
    return dags[0]


def by_id(dags):
    return {dag.dag_id: dag for dag in dags.values()}


def test_a_spec_becomes_three_tasks(folder):
    dag = one(put(folder, "orders.yaml"))

    assert [t.task_id for t in dag.topological_sort()] == ["plan", "export", "publish"]
    assert dag.task_dict["export"].is_mapped


def test_a_restore_becomes_three_tasks(folder):
    text = """\
pipeline: back
kind: restore
source: {type: oss, bucket: backup, prefix: orders/}
sink: {type: tablestore, table: orders}
"""

    dag = one(put(folder, "back.yaml", text))

    assert [t.task_id for t in dag.topological_sort()] == ["plan", "write", "finish"]
    assert dag.task_dict["write"].is_mapped


def test_a_bad_spec_leaves_its_neighbours_alone(folder):
    put(folder, "a_good.yaml")
    put(folder, "broken.yaml", BAD)
    put(folder, "z_good.yaml")

    dags = by_id(dags_of(folder))

    assert set(dags) == {"a_good", "broken", "z_good"}
    assert dags["broken"].tags == {"spec-error"}
    assert "plan" in dags["a_good"].task_dict
    assert "plan" in dags["z_good"].task_dict


def test_the_placeholder_shows_every_problem_with_its_place(folder):
    put(folder, "broken.yaml", BAD)

    page = by_id(dags_of(folder))["broken"].doc_md

    assert "specs/broken.yaml:3:10: error: source.tabel: unknown key" in page
    assert "    source: {tabel: orders}\n             ^" in page
    assert "did you mean 'table'" in page
    assert "sink.prefix" in page


@pytest.mark.slow
def test_the_placeholder_has_no_schedule_and_one_task_that_fails_with_the_report(folder, run_dag):
    put(folder, "broken.yaml", BAD)
    dag = by_id(dags_of(folder))["broken"]

    run = run_dag(dag)

    assert dag.schedule is None
    assert [(t.task_id, t.state, t.max_tries) for t in run.get_task_instances()] == [("spec_error", "failed", 0)]


@pytest.mark.parametrize(
    "text",
    ["", "- a list", "pipeline: [", "\x00", "pipeline: 'not a dag id!'\nkind: full_export", "kind: none"],
    ids=["empty", "a-list", "no-yaml", "control-character", "no-dag-id", "no-name"],
)
def test_a_file_that_names_no_pipeline_is_shown_under_its_own_name(folder, text):
    put(folder, "strange file.yaml", text)
    put(folder, "good.yaml")

    dags = by_id(dags_of(folder))

    assert set(dags) == {"good", "strange_file"}
    assert "strange file.yaml" in dags["strange_file"].doc_md


def test_of_two_files_with_one_pipeline_the_first_has_it(folder):
    put(folder, "a.yaml", of="orders")
    put(folder, "orders.yaml", of="orders")

    dags = by_id(dags_of(folder))

    assert set(dags) == {"orders", "orders-2"}
    assert "plan" in dags["orders"].task_dict
    assert "also the pipeline of a.yaml" in dags["orders-2"].doc_md


def test_a_notifier_that_does_not_exist_is_told_and_isolated(folder):
    put(folder, "orders.yaml", GOOD.format(name="orders") + "airflow: {on_failure: no.such.Notifier}\n")
    put(folder, "good.yaml")

    dags = by_id(dags_of(folder))

    assert dags["orders"].tags == {"spec-error"}
    assert "no.such" in dags["orders"].doc_md.lower() or "no module named 'no'" in dags["orders"].doc_md.lower()
    assert "plan" in dags["good"].task_dict


def test_the_page_of_a_dag_says_what_a_run_does(folder):
    page = one(put(folder, "orders.yaml", GOOD.format(name="orders") + "description: Every order.\n")).doc_md

    assert page.startswith("Every order.\n")
    assert "all rows of table 'orders'" in page
    assert "sink: {type: oss, bucket: backup, prefix: orders/}" in page


def test_the_notifier_of_a_spec_is_called_when_a_task_fails(folder):
    notifier = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
    text = GOOD.format(name="orders") + (
        f"airflow: {{on_failure: {{notifier: {notifier}, arguments: {{to: team@example.com}}}}}}\n"
    )

    plan = one(put(folder, "orders.yaml", text)).task_dict["plan"]

    (called,) = plan.on_failure_callback
    assert type(called).__name__ == "SmtpNotifier"
    assert called.to == "team@example.com"


@pytest.mark.parametrize(
    "wanted",
    [
        "{notifier: os.mkdir, arguments: {path: MADE}}",
        "{notifier: subprocess.Popen, arguments: {args: [touch, MADE]}}",
        "airflow.sdk.Connection",
    ],
)
def test_on_failure_makes_notifiers_and_calls_nothing_else(folder, tmp_path, wanted):
    wanted = wanted.replace("MADE", str(tmp_path / "made"))
    put(folder, "orders.yaml", GOOD.format(name="orders") + f"airflow: {{on_failure: {wanted}}}\n")

    shown = by_id(dags_of(folder))["orders"]

    assert shown.tags == {"spec-error"}
    assert "is no Airflow notifier" in shown.doc_md
    assert not (tmp_path / "made").exists()


def test_two_parses_serialise_equally(folder, serialised):
    put(folder, "orders.yaml")
    put(folder, "broken.yaml", BAD)

    one_time, another = dags_of(folder), dags_of(folder)

    assert [serialised(dag) for dag in one_time.values()] == [serialised(dag) for dag in another.values()]


def test_a_worker_builds_only_the_dag_that_it_needs(folder):
    put(folder, "orders.yaml")
    put(folder, "broken.yaml", BAD)

    assert set(by_id(dags_of(folder, wanted="orders"))) == {"orders"}
    assert set(by_id(dags_of(folder, wanted="broken"))) == {"broken"}
    assert dags_of(folder, wanted="somebody-else") == {}


def test_a_worker_and_the_dag_processor_agree_on_every_dag(folder, serialised):
    put(folder, "a.yaml", of="orders")
    put(folder, "b.yaml", of="orders")
    put(folder, "broken.yaml", BAD)

    for dag_id, dag in by_id(dags_of(folder)).items():
        (same,) = dags_of(folder, wanted=dag_id).values()
        assert serialised(same) == serialised(dag)


def test_settings_reach_the_tasks(folder):
    text = GOOD.format(name="orders") + (
        "owner: data-platform\ntags: [nightly]\ndescription: Every order.\n"
        "timezone: Asia/Shanghai\nschedule: 0 3 * * *\nstart: 2026-11-20T00:00:00\ncatchup: true\n"
        "self_dependent: true\n"
        "retry: {times: 5, delay: 30s}\n"
        "airflow: {pool: exports, queue: big, priority_weight: 7, execution_timeout: 6h, executor_config: {k: v}}\n"
    )

    dag = one(put(folder, "orders.yaml", text))

    assert dag.tags == {"tablestore", "full_export", "nightly"}
    assert dag.description == "Every order."
    assert dag.max_active_runs == 1
    assert dag.catchup
    assert dag.start_date == datetime.fromisoformat("2026-11-20T00:00:00+08:00")
    for task in dag.tasks:
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        assert (settings["retries"], settings["retry_delay"]) == (5, timedelta(seconds=30))
        assert (settings["pool"], settings["queue"], settings["priority_weight"]) == ("exports", "big", 7)
        assert settings["execution_timeout"] == timedelta(hours=6)
        assert settings["executor_config"] == {"k": "v"}
        assert settings["owner"] == "data-platform"
    assert dag.task_dict["plan"].wait_for_downstream


def test_a_cron_expression_is_meant_in_the_timezone_of_the_spec(folder):
    from airflow.timetables.base import TimeRestriction

    text = GOOD.format(name="orders") + "timezone: Asia/Shanghai\nschedule: 0 3 * * *\n"
    timetable = one(put(folder, "orders.yaml", text)).timetable

    due = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )

    assert due.run_after.in_timezone("UTC").hour == 19


def test_no_template_engine_reads_a_spec(folder):
    from airflow.sdk.definitions._internal.templater import LiteralValue

    dag = one(put(folder, "orders.yaml"))

    for task in dag.tasks:
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        assert isinstance(settings["source"], LiteralValue)
        assert isinstance(settings["sink"], LiteralValue)


def test_publication_updates_the_asset_of_its_objects(folder, inlets):
    publish = one(put(folder, "orders.yaml")).task_dict["publish"]

    assert [asset.uri for asset in publish.outlets] == ["oss://backup/orders"]
    assert [asset.uri for asset in publish.inlets] == inlets("tablestore://tablestore_default/orders")


def test_a_shim_beside_a_spec_needs_no_path(folder):
    put(folder, "orders.yaml")
    shim = folder / "orders.py"
    shim.write_text("from airflow_tablestore.factory import dag_from_spec\ndag = dag_from_spec(__file__)\n")
    scope = {"__file__": str(shim)}

    exec(compile(shim.read_text(), shim, "exec"), scope)

    assert scope["dag"].dag_id == "orders"


def test_a_relative_folder_is_beside_the_file_that_loads_it(folder):
    put(folder, "orders.yaml")
    loader = folder.parent / "loader.py"
    scope = {"load_specs": load_specs}

    exec(compile("found = load_specs('specs')", loader, "exec"), scope)

    assert set(by_id(scope["found"])) == {"orders"}


def test_a_shim_of_a_bad_spec_raises_its_report(folder):
    with pytest.raises(SpecError, match="did you mean 'table'"):
        dag_from_spec(put(folder, "broken.yaml", BAD))


def test_a_missing_folder_is_an_error(folder):
    with pytest.raises(SpecError, match="is no folder"):
        load_specs(folder / "nowhere")


@pytest.mark.slow
def test_the_gallery_parses_without_errors(dag_bag):
    bag = dag_bag(GALLERY)

    assert bag.import_errors == {}
    assert {"gps_full", "gps_full_csv", "gps_full_jsonl", "gps_full_by_hand"} <= set(bag.dags)
    assert not any("spec-error" in dag.tags for dag in bag.dags.values())


@pytest.mark.slow
def test_parsing_dags_imports_nothing_heavy():
    code = f"""
import runpy, sys
runpy.run_path({str(GALLERY / "pipelines.py")!r})
runpy.run_path({str(GALLERY / "gps_full_by_hand.py")!r})
print(sorted({{m.split('.')[0] for m in sys.modules}} & {{'pyarrow', 'oss2', 'odps', 'tablestore', 'pandas', 'numpy'}}))
"""

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip().splitlines()[-1] == "[]"
