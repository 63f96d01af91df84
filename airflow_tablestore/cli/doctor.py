"""`doctor`: everything that a run will need, checked one by one, each with what to do about it.

Only reads, unless it is asked to write a probe. A check that cannot be made because an earlier one failed is left out,
so the last failure that is printed is what to repair first.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from airflow_tablestore.cli.patient import Check, Patient, Status, Step
from airflow_tablestore.cli.services import export_spec
from airflow_tablestore.cli.session import FAILED, OK, Session, moment_of
from airflow_tablestore.cli.table import lines
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec import IncrementalSpec, load
from airflow_tablestore.spec.kinds.stream import StreamSpec
from airflow_tablestore.wire.decode import BACKEND_VARIABLE, BACKENDS, backend, decoder


def doctor(arguments: Namespace, session: Session) -> int:
    """Print every check; 1 when one fails."""
    patient, steps = _examination(arguments, session)
    try:
        for check in _examined(patient, chain(steps, (partial(_decoder, patient),))):
            if not arguments.json:
                _print(check, session)
    finally:
        patient.close()
    has_failed = any(check.status is Status.FAIL for check in patient.checks)
    if arguments.json:
        told = [{"check": c.name, "status": c.status.value, "told": c.told, "advice": c.advice} for c in patient.checks]
        session.say(json.dumps({"ok": not has_failed, "checks": told}, indent=2, ensure_ascii=False))
    else:
        session.say("A run would fail." if has_failed else "A run can begin.")
    return FAILED if has_failed else OK


def _examination(arguments: Namespace, session: Session) -> tuple[Patient, Iterable[Step]]:
    given = load(arguments.spec)
    if isinstance(given, StreamSpec):
        from airflow_tablestore.cli import doctor_tunnel

        refuse_options(arguments, given.kind, "--run-date")
        return doctor_tunnel.examination(given, session, writes=arguments.write_probe)
    spec = export_spec(arguments.spec)
    if isinstance(spec, IncrementalSpec):
        from airflow_tablestore.cli import doctor_stream

        refuse_options(arguments, spec.kind, "--run-date")
        return doctor_stream.examination(spec, arguments.spec, session, writes=arguments.write_probe)
    from airflow_tablestore.cli import doctor_table

    moment = moment_of(arguments, session, spec.timezone)
    return doctor_table.examination(spec, moment, session, writes=arguments.write_probe)


def _decoder(patient: Patient) -> None:
    """What this machine reads rows with."""
    try:
        decoder(())
    except SpecError as error:
        patient.found("decoder", Status.FAIL, str(error), f"correct {BACKEND_VARIABLE}, or unset it")
        return
    name = backend()
    if name == BACKENDS[0]:
        patient.found("decoder", Status.OK, f"{name}: the C library")
        return
    advice = "install a wheel for this machine, or from source where there is a C compiler"
    patient.found("decoder", Status.WARN, f"{name}: rows are read and written more slowly than in C", advice)


def _examined(patient: Patient, steps: Iterable[Step]) -> Iterator[Check]:
    """The checks in their order, each as soon as it is made."""
    for step in steps:
        before = len(patient.checks)
        step()
        yield from patient.checks[before:]


def _print(check: Check, session: Session) -> None:
    for line in lines([(f"{check.status.value:7}", f"{check.name:18}", check.told)]):
        session.say(line)
    if check.advice and check.status is not Status.OK:
        session.say(f"{'':27}-> {check.advice}")
