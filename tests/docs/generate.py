"""The generated reference pages: keys of a spec, operators and hooks, commands, errors.

`make docs` writes them to docs/reference; `python -m tests.docs.generate FOLDER` to another folder.
Everything comes from the code itself: models, signatures, docstrings, arguments. What a page says is changed there.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

NOTE = "<!-- Made by `make docs` from {source}: change it there. -->\n"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home  # importing Airflow writes there
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        for name, page in pages():
            (folder / name).write_text(page)


def pages() -> Iterator[tuple[str, str]]:
    """Each generated page with its file's name."""
    from airflow_tablestore.cli import reference as commands
    from airflow_tablestore.spec import reference as keys

    yield "spec.md", keys.page()
    yield "operators.md", operators_page()
    yield "commands.md", commands.page()
    yield "errors.md", errors_page()
    yield "tunnel-channel.md", channel_page()


def operators_page() -> str:
    from airflow_tablestore import assets
    from airflow_tablestore.factory import dag_from_spec, load_specs
    from airflow_tablestore.hooks.oss import ObjectStoreHook
    from airflow_tablestore.hooks.tablestore import TablestoreHook
    from airflow_tablestore.operators import delivery, full_export, incremental, restore, tunnel, verify, windows
    from airflow_tablestore.operators.links import PublishedObjectsLink
    from airflow_tablestore.operators.snapshot import SnapshotOperator
    from airflow_tablestore.sensors import windows as sensors
    from airflow_tablestore.sensors.delivery import DeliveryTaskSensor
    from airflow_tablestore.sensors.tunnel import TunnelCaughtUpSensor, TunnelDataSensor

    parts = [
        "# Operators, hooks and the factory\n",
        NOTE.format(source="the signatures and docstrings in airflow_tablestore"),
        "How to use them: [operators in a DAG file of your own](../howto/operators.md),\n"
        "[windows in Airflow](../howto/windows-in-airflow.md).\n",
        "## Specs as DAGs\n",
        *(_function(one) for one in (load_specs, dag_from_spec)),
        "## The task groups\n",
        *(_function(one) for one in (full_export.full_export, incremental.incremental, incremental.window_params)),
        "## The operators of a full export\n",
        _shared(full_export.FullExportTask),
        *(
            _operator(one, full_export.FullExportTask)
            for one in (
                full_export.PlanFullExportOperator,
                full_export.ExportSplitOperator,
                full_export.PublishExportOperator,
            )
        ),
        "## The operators of an incremental export\n",
        "`ExportWindowOperator` alone, or the other three where a window is mapped.\n",
        _shared(windows.IncrementalTask),
        "`ExportWindowOperator` and `PlanWindowOperator` take these too:\n",
        f"{_table(windows.AskedTask)}\n\nFurther template fields of both: {_names(_more(windows.AskedTask))}.\n",
        *(
            _operator(one, windows.AskedTask if issubclass(one, windows.AskedTask) else windows.IncrementalTask)
            for one in (
                incremental.ExportWindowOperator,
                incremental.PlanWindowOperator,
                incremental.ExportShardsOperator,
                incremental.PublishWindowOperator,
            )
        ),
        "## The operators of a restore\n",
        "How to use them: [restore](../howto/restore.md).\n",
        _function(restore.restore),
        _shared(restore.RestoreTask),
        *(
            _operator(one, restore.RestoreTask)
            for one in (
                restore.PlanRestoreOperator,
                restore.WritePartOperator,
                restore.FinishRestoreOperator,
                restore.RestoreOperator,
            )
        ),
        "## The operator of a snapshot\n",
        "How to use it: [snapshots](../howto/snapshots.md).\n",
        _operator(SnapshotOperator, SnapshotOperator.__base__),
        "## The operator that verifies\n",
        "How to use it: [verify](../howto/verify.md).\n",
        _operator(verify.VerifyOperator, verify.FullExportTask),
        "## The operators of delivery tasks\n",
        "How to use them: [delivery](../howto/delivery.md).\n",
        *(
            _operator(one, delivery.BaseOperator)
            for one in (
                delivery.CreateDeliveryTaskOperator,
                delivery.UpdateDeliveryTaskOperator,
                delivery.DescribeDeliveryTaskOperator,
                delivery.ListDeliveryTasksOperator,
                delivery.DeleteDeliveryTaskOperator,
                delivery.AuditDeliveryOperator,
                DeliveryTaskSensor,
            )
        ),
        "## The operators of tunnels\n",
        "How to use them: [drain a tunnel](../howto/drain-a-tunnel.md).\n",
        *(
            _operator(one, tunnel.BaseOperator)
            for one in (
                tunnel.CreateTunnelOperator,
                tunnel.DeleteTunnelOperator,
                tunnel.ListTunnelsOperator,
                tunnel.DescribeTunnelOperator,
                tunnel.ConsumeTunnelOperator,
                tunnel.TellStreamOperator,
                TunnelCaughtUpSensor,
                TunnelDataSensor,
            )
        ),
        "## Sensors of windows\n",
        "Both take these arguments, and those of every Airflow sensor:\n",
        f"{_table(sensors.LedgerSensor)}\n\nTemplate fields of both: {_names(sensors.LedgerSensor.template_fields)}.\n",
        *(
            _operator(one, sensors.LedgerSensor)
            for one in (sensors.WindowPublishedSensor, sensors.StreamExpiryRiskSensor)
        ),
        "## Hooks\n",
        *(_hook(one) for one in (TablestoreHook, ObjectStoreHook)),
        "## Links\n",
        _section(PublishedObjectsLink, f"### {PublishedObjectsLink.name}\n"),
        "## Assets\n",
        _prose(inspect.getdoc(assets) or "") + "\n",
        *(_function(one) for one in (assets.table_asset, assets.objects_asset, assets.delivered_asset)),
    ]
    return _joined(parts)


def _function(function: Any) -> str:
    return _section(function, f"### {function.__name__}\n", _code(function, function.__name__))


def _shared(base: Any) -> str:
    return (
        "All take these arguments, and those of every Airflow operator:\n\n"
        f"{_table(base)}\n\nTemplate fields of all: {_names(base.template_fields)}.\n"
    )


def _more(operator: Any) -> list[str]:
    """The template fields that an operator has beside those of the one that it extends."""
    return [name for name in operator.template_fields if name not in operator.__base__.template_fields]


def _operator(operator: Any, base: Any) -> str:
    more = [name for name in operator.template_fields if name not in base.template_fields]
    fields = f"Further template fields: {_names(more)}.\n" if more else ""
    return _section(operator, f"### {operator.__name__}\n", _code(operator, operator.__name__), fields)


def _hook(hook: Any) -> str:
    about = f"Connection type `{hook.conn_type}`, by default the connection `{hook.default_conn_name}`.\n"
    methods = []
    for name, member in vars(hook).items():
        function = getattr(member, "func", None) or getattr(member, "fget", None) or member
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        call = f"`.{name}`" if function is not member else f"`.{name}{_signature(function)}`"
        methods.append(f"* {call}: {_first(function)}")
    return _section(hook, f"### {hook.__name__}\n", _code(hook, hook.__name__), about, "\n".join(methods) + "\n")


def _section(what: Any, heading: str, *parts: str) -> str:
    return _joined([heading, *parts[:1], _prose(inspect.getdoc(what) or "") + "\n", _table(what) + "\n", *parts[1:]])


def _code(what: Any, name: str) -> str:
    given = inspect.signature(what)
    parameters = [p.replace(annotation=p.empty) for p in given.parameters.values() if p.name != "self"]
    text = f"{name}{given.replace(parameters=parameters, return_annotation=given.empty)}"
    if len(text) > 100:
        star = ["*"] if parameters[0].kind is inspect.Parameter.KEYWORD_ONLY else []
        text = f"{name}(\n" + "".join(f"    {one},\n" for one in (*star, *parameters)) + ")"
    return f"```text\n{text}\n```\n"


def _signature(function: Any) -> str:
    parameters = [str(p.replace(annotation=p.empty)) for p in inspect.signature(function).parameters.values()]
    return f"({', '.join(p for p in parameters if p != 'self')})"


def _described(what: Any) -> list[tuple[str, str]]:
    """The `:param:` and `:raises:` of a docstring, each with its text on one line."""
    text = inspect.getdoc(what) or ""
    found = re.findall(r"^:(param|raises) (\w+): (.+?)(?=^:|\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return [(name if kind == "param" else f"raises {name}", " ".join(told.split())) for kind, name, told in found]


def _table(what: Any) -> str:
    described = _described(what)
    if not described:
        return ""
    return "\n".join(["| | |", "| --- | --- |", *(f"| `{name}` | {_cell(told)} |" for name, told in described)])


def _prose(text: str) -> str:
    """A docstring without its `:param:` lines."""
    return re.sub(r"^:(param|raises) .+?(?=^:|\n\n|\Z)", "", text, flags=re.MULTILINE | re.DOTALL).strip()


def _first(what: Any) -> str:
    return (inspect.getdoc(what) or "").split("\n\n")[0].split("\n:")[0].replace("\n", " ")


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def channel_page() -> str:
    """The life of a channel, as a diagram of the state table by which the worker goes."""
    from airflow_tablestore.consumer.tunnel.channel import NEXT, Event, State

    first, last = State.WAITING, State.GONE
    arrows = [f"    {one.name} --> {then.name}: {event.name}" for (one, event), then in NEXT.items()]
    drawn = ["stateDiagram-v2", f"    [*] --> {first.name}", *arrows, f"    {last.name} --> [*]"]
    states = [f"| {state.name} | {_cell(state.value)} |" for state in State]
    events = [f"| {event.name} | {_cell(event.value)} |" for event in Event]
    parts = [
        "# The life of a tunnel's channel\n",
        NOTE.format(source="the state table in airflow_tablestore/consumer/tunnel/channel.py"),
        "As one worker sees it. The service decides who reads which channel, and tells it in answers to heartbeats; "
        "the worker tells in its heartbeats what it has given back and what it has finished.\n",
        "```mermaid\n" + "\n".join(drawn) + "\n```\n",
        "\n".join(["| state | the channel is |", "| --- | --- |", *states]) + "\n",
        "\n".join(["| event | what happens |", "| --- | --- |", *events]) + "\n",
    ]
    return _joined(parts)


def errors_page() -> str:
    from airflow_tablestore import errors
    from airflow_tablestore.cli.session import FAILED, MUST_CHANGE

    classes = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, Exception)]
    rows = []
    for one in sorted(classes, key=lambda c: [base.__name__ for base in reversed(c.__mro__)]):
        depth = len(one.__mro__) - len(errors.TablestoreError.__mro__)
        is_abstract = one in (errors.TablestoreError, errors.RequestError)
        airflow = "" if is_abstract else "fails at once" if _is_final(one) else "tried again"
        code = "" if is_abstract else str(MUST_CHANGE if issubclass(one, errors.SpecError) else FAILED)
        rows.append(f"| {'· ' * depth}`{one.__name__}` | {_cell(_first(one))} | {airflow} | {code} |")
    parts = [
        "# Errors\n",
        NOTE.format(source="airflow_tablestore/errors.py and airflow_tablestore/operators/retries.py"),
        "Everything that this package raises on purpose is in one tree, `airflow_tablestore.errors`, named by what to "
        "do next. A message says what happened, where, what was expected and what to try; it never holds a secret. "
        "An error that is not in this tree is a bug of ours: please report it with the traceback that `--debug` "
        "shows.\n",
        "In Airflow, what repeating cannot help fails its task at once, whatever its `retries`; everything else is "
        "left to them.\n",
        "\n".join(["| error | means | an Airflow task | exit code |", "| --- | --- | --- | --- |", *rows]) + "\n",
    ]
    return _joined(parts)


def _is_final(error: Any) -> bool:
    """Whether a task that meets this error is not tried again."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    from airflow_tablestore.operators.retries import retried_only_where_it_helps

    needed = inspect.signature(error.__init__).parameters.values()
    told = {one.name: "" for one in needed if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    try:
        with retried_only_where_it_helps():
            raise error("", **told)
    except AirflowFailException:
        return True
    except error:
        return False


def _joined(parts: list[str]) -> str:
    """The parts with one empty line between them."""
    return "\n".join(part.strip("\n") + "\n" for part in parts if part.strip())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/reference")
