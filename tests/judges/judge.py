"""Who judges the emulator, and how a judge is heard.

A judge is a client with its settings: it runs as a process against the emulator and prints one JSON line for each
case. What is not such a line, an unclean exit or a silent judge is an error, never a pass.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_tablestore.emulator.remote import Remote
from tests.judges.runtimes import (
    HERE,
    Program,
    go,
    go_version,
    java,
    maven_version,
    node,
    npm_version,
    pip_version,
    python,
    python_with_compiled_codec,
    python_with_pyodps,
    this_python,
)

MOST_SECONDS = 600
GO_MODULE = "github.com/aliyun/aliyun-tablestore-go-sdk"
JAVA_ARTIFACT = "com.aliyun.openservices:tablestore"
PYTHONS = {"3.11": ["row parser"], "3.12": ["encoder", "decoder", "row parser"]}
"""Which compiled parts the SDK brings for each: the encoder and decoder of messages are built for 3.12 only."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one case; `detail` is why it failed."""

    operation: str
    case: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """A client with its settings. `name` heads its column and names its instance and bucket."""

    name: str
    service: str
    client: str
    runtime: Callable[[], Program]
    file: str | None
    options: Mapping[str, Any] = field(default_factory=dict)

    def hear(self, services: Mapping[str, Any]) -> list[Verdict]:
        """What it says of the emulator at these addresses, case by case.

        :raises Absent: what it runs on is not on this machine.
        """
        program = self.runtime()
        place = self.name.lower().replace(" ", "-").replace(".", "")
        if services:
            Remote(services["tablestore"]["endpoint"]).post("instances", {"name": place})
        asked = {
            "client": self.name,
            "services": services,
            "instance": place,
            "bucket": f"judge-{place}",
            "options": self.options,
        }
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [*program.command, *([str(HERE / self.file)] if self.file else [])],
            env={**environment, **program.environment, "JUDGE": json.dumps(asked)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )
        verdicts = [_verdict(line) for line in done.stdout.splitlines() if line.startswith('{"client"')]
        if done.returncode or not verdicts:
            raise RuntimeError(
                f"{self.name} ended with {done.returncode}:\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
            )
        return verdicts


def judges() -> list[Judge]:
    """Everyone who judges, in the order of the page's columns."""
    return [
        *(judge for version, compiled in PYTHONS.items() for judge in _pythons(version, compiled)),
        *_other_languages(),
        *_oss(),
        *_maxcompute(),
    ]


def _pythons(version: str, compiled: list[str]) -> list[Judge]:
    sdk = f"Python SDK `tablestore` {pip_version('tablestore')} on Python {version}"
    return [
        Judge(
            f"Python {version} {signature}{suffix}",
            "Tablestore",
            f"{sdk}, signature {signature}, {codec}",
            partial(python_with_compiled_codec if native["codec"] else python, version),
            "python/tablestore_cases.py",
            {**region, **native},
        )
        for signature, region in (("V2", {}), ("V4", {"region": "cn-hangzhou"}))
        for suffix, codec, native in (
            ("", f"compiled {', '.join(compiled)}", {"native_fallback": False, "codec": compiled}),
            (" pure", "codec in Python", {"enable_native": False, "codec": []}),
        )
    ]


def _other_languages() -> list[Judge]:
    return [
        Judge("Node", "Tablestore", f"npm `tablestore` {npm_version('tablestore')}", node, "node/tablestore_cases.js"),
        Judge("Go", "Tablestore", f"Go module `{GO_MODULE}` {go_version(GO_MODULE)}", go, None),
        Judge("Java", "Tablestore", f"Java artifact `{JAVA_ARTIFACT}` {maven_version('tablestore')}", java, None),
    ]


def _oss() -> list[Judge]:
    clients = (
        ("oss2", f"Python `oss2` {pip_version('oss2')}", this_python, "python/oss2_cases.py"),
        (
            "oss v2",
            f"Python `alibabacloud-oss-v2` {pip_version('alibabacloud-oss-v2')}",
            this_python,
            "python/oss_v2_cases.py",
        ),
        ("ali-oss", f"npm `ali-oss` {npm_version('ali-oss')}", node, "node/ali_oss_cases.js"),
    )
    return [
        Judge(f"{name} {signature}", "OSS", f"{client}, signature {signature}", runtime, file, options)
        for name, client, runtime, file in clients
        for signature, options in (("V1", {}), ("V4", {"v4": True}))
    ]


def _maxcompute() -> list[Judge]:
    client = f"Python `pyodps` {pip_version('pyodps')}"
    settings = (
        ("V2", "the signature before V4, compiled codec", {}),
        ("V4", "signature V4, compiled codec", {"v4": True}),
        ("pure", "signature V4, codec in Python", {"v4": True, "pure": True}),
    )
    return [
        Judge(
            f"pyodps {name}", "MaxCompute", f"{client}, {said}", python_with_pyodps, "python/pyodps_cases.py", options
        )
        for name, said, options in settings
    ]


def _verdict(line: str) -> Verdict:
    told = json.loads(line)
    return Verdict(told["operation"], told["case"], told["passed"], told["detail"])
