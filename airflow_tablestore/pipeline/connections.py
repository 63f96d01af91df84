"""Connections as the endpoints that the engine talks to, the same for Airflow and for the command line.

The hooks fill `Fields` from an Airflow connection, the command line from `AIRFLOW_CONN_*`; what the fields mean is
decided here alone. `oss` and `maxcompute` connections are those of Airflow's Alibaba provider, `tablestore` ones our
own. Messages name fields, never their values when these may be secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_tablestore.errors import Problem, SpecError

if TYPE_CHECKING:
    from airflow_tablestore.client import Client, Endpoint
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxComputeEndpoint
    from airflow_tablestore.pipeline.sinks.oss import OssEndpoint


@dataclass(frozen=True, slots=True)
class Fields:
    """A connection as Airflow keeps it. `conn_id` is for messages."""

    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    conn_id: str = ""

    def text(self, *names: str) -> str:
        """The first of these extras that is set, else "". Airflow's form writes some as `extra__<type>__<name>`."""
        for name in names:
            value = self.extra.get(name, self.extra.get(f"extra__{self.conn_type}__{name}"))
            if value not in (None, ""):
                return str(value).strip()
        return ""


def from_environment(conn_id: str, environ: Mapping[str, str]) -> Fields:
    """The connection that `AIRFLOW_CONN_<ID>` holds, in JSON or as a URI, read as Airflow reads it.

    :raises SpecError: the variable is missing or cannot be read.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = environ.get(variable, "").strip()
    if not text:
        raise _wrong(conn_id, "is not set", f"set {variable} to the connection as JSON or as a URI")
    try:
        return _from_json(conn_id, text) if text.startswith("{") else _from_uri(conn_id, text)
    except ValueError as error:
        # The cause is not told and not chained: its text may hold the value, and the value holds the key.
        kind = "JSON" if text.startswith("{") else "a URI"
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise _wrong(conn_id, f"{variable} begins like {kind} and cannot be read as it{place}") from None


def _from_json(conn_id: str, text: str) -> Fields:
    data = json.loads(text)
    extra = data.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    if not isinstance(extra, dict):
        raise ValueError("extra is no mapping")
    port = data.get("port")
    return Fields(
        conn_type=str(data.get("conn_type") or ""),
        host=data.get("host"),
        port=int(port) if port not in (None, "") else None,
        login=data.get("login"),
        password=data.get("password"),
        schema=data.get("schema"),
        extra=extra,
        conn_id=conn_id,
    )


def _from_uri(conn_id: str, text: str) -> Fields:
    """Airflow's URI form: <type>://<login>:<password>@<host>:<port>/<schema>?<extras>, everything percent-encoded.

    A host with a scheme of its own is written <type>://<scheme>://<host>; `__extra__` holds all extras as JSON.
    """
    head, _, rest = text.partition("://")
    if not rest or not re.fullmatch(r"[A-Za-z][\w+.-]*", head):
        raise ValueError("no scheme")
    scheme, mark, inner = rest.partition("://")
    is_nested = bool(mark) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is not None
    parts = urlsplit(f"{scheme}://{inner}" if is_nested else text)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra: dict[str, Any] = dict(query)
    if "__extra__" in query:
        extra = json.loads(query["__extra__"])
    host = _host(parts.netloc)
    return Fields(
        conn_type=head.replace("-", "_"),
        host=f"{scheme}://{host}" if is_nested and host else host or None,
        port=parts.port,
        login=unquote(parts.username) if parts.username is not None else None,
        password=unquote(parts.password) if parts.password is not None else None,
        schema=unquote(parts.path[1:]) or None,
        extra=extra,
        conn_id=conn_id,
    )


def _host(netloc: str) -> str:
    """The host, decoded, in its own letter case, brackets of IPv6 kept."""
    address = netloc.rpartition("@")[2]
    return unquote(re.sub(r":\d*$", "", address))


def tablestore_endpoint(fields: Fields) -> Endpoint:
    """The instance that a `tablestore` connection leads to.

    :raises SpecError: fields that are missing or cannot be right.
    """
    from airflow_tablestore.client import Endpoint

    _of_type(fields, "tablestore")
    if not fields.host:
        raise _wrong(
            fields.conn_id, "has no host", "write the endpoint, https://<instance>.<region>.ots.aliyuncs.com, into it"
        )
    url = _url(fields, fields.host, fields.text("scheme", "protocol"))
    timeout = fields.text("timeout_seconds")
    kept = _kept_keys(fields)
    settings: dict[str, Any] = {}
    if timeout:
        settings["timeout_seconds"] = _seconds(fields, timeout)
    compress = fields.text("compress").lower()
    if compress not in ("", "none", "deflate"):
        raise _wrong(fields.conn_id, f"has an extra 'compress' that is {compress!r}", "write deflate, or leave it out")
    try:
        return Endpoint(
            url,
            fields.text("instance", "instance_name") or _first_label(url),
            kept.get(_KEPT_ID) or (fields.login or "").strip() or fields.text("access_key_id"),
            kept.get(_KEPT_SECRET) or (fields.password or "").strip() or fields.text("access_key_secret"),
            security_token=(kept.get(_KEPT_TOKEN) if kept else fields.text("sts_token", "security_token")) or None,
            region=fields.text("region") or None,
            deflates=compress == "deflate",
            **settings,
        )
    except SpecError as error:
        raise _named(fields, error) from error


def tablestore_client(read: Callable[[], Fields], **options: Any) -> Client:
    """A client for what a `tablestore` connection leads to; temporary keys (STS) are read anew while it works.

    :param read: the connection as it is kept now; asked again from any thread, by one at a time.
    :param options: of `Client`.
    :raises SpecError: fields that are missing or cannot be right.
    """
    from airflow_tablestore.client import Client, RenewedKeys

    fields = read()
    endpoint = tablestore_endpoint(fields)
    if endpoint.security_token is None and not fields.text("credentials_file"):
        return Client(endpoint, **options)
    keys = RenewedKeys(endpoint.credentials, lambda: tablestore_endpoint(read()).credentials)
    return Client(endpoint, credentials=keys, **options)


_KEPT_ID, _KEPT_SECRET, _KEPT_TOKEN = "AccessKeyId", "AccessKeySecret", "SecurityToken"
"""As AssumeRole and the metadata of a machine's RAM role write them."""


def _kept_keys(fields: Fields) -> dict[str, str]:
    """The keys in the file that the connection names, which somebody else renews; none when it names none."""
    name = fields.text("credentials_file")
    if not name:
        return {}
    hint = f'it holds {{"{_KEPT_ID}": …, "{_KEPT_SECRET}": …, "{_KEPT_TOKEN}": …}}'
    try:
        kept = json.loads(Path(name).read_bytes())
    except OSError as error:
        told = f"names a credentials_file that cannot be read: {error.strerror}"
        raise _wrong(fields.conn_id, told, hint) from error
    except ValueError:  # not chained: its text holds what was read
        raise _wrong(fields.conn_id, "names a credentials_file that is no JSON", hint) from None
    if isinstance(kept, dict) and isinstance(kept.get("Credentials"), dict):
        kept = kept["Credentials"]
    given = kept if isinstance(kept, dict) else {}
    keys = {one: given[one].strip() for one in (_KEPT_ID, _KEPT_SECRET, _KEPT_TOKEN) if isinstance(given.get(one), str)}
    if not (keys.get(_KEPT_ID) and keys.get(_KEPT_SECRET)):
        raise _wrong(fields.conn_id, "names a credentials_file without keys", hint)
    return keys


def oss_endpoint(fields: Fields, bucket: str = "") -> OssEndpoint:
    """The place that an `oss` connection leads to.

    :param bucket: when given, an endpoint that already holds its name is refused: the SDK would put it in twice.
    :raises SpecError: fields that are missing or cannot be right.
    """
    _of_type(fields, "oss")
    region = fields.text("region")
    host = fields.text("endpoint") or (fields.host or "") or (f"oss-{region}.aliyuncs.com" if region else "")
    if not host:
        raise _wrong(
            fields.conn_id, "has no extra 'endpoint'", "write oss-<region>.aliyuncs.com, without the bucket, into it"
        )
    auth = fields.text("auth_type")
    if auth and auth.upper() not in ("AK", "STS"):
        raise _wrong(fields.conn_id, f"has auth_type '{auth}'", "only AK, an access key, can be used")
    url = _url(fields, host, fields.text("scheme", "protocol"))
    problems = [*_missing_keys(fields), *_tablestore_at(url), *_bucket_in(url, bucket)]
    if problems:
        raise SpecError([_in_connection(fields, problem) for problem in problems])
    from airflow_tablestore.pipeline.sinks.oss import OssEndpoint

    return OssEndpoint(
        url,
        fields.text("access_key_id") or (fields.login or "").strip(),
        fields.text("access_key_secret") or (fields.password or "").strip(),
        security_token=fields.text("sts_token", "security_token", "access_key_token") or None,
        region=region or None,
    )


def maxcompute_endpoint(fields: Fields, project: str = "") -> MaxComputeEndpoint:
    """The project that a `maxcompute` connection leads to.

    :param project: goes before the connection's own.
    :raises SpecError: fields that are missing or cannot be right.
    """
    _of_type(fields, "maxcompute")
    host = fields.text("endpoint") or (fields.host or "")
    problems = _missing_keys(fields)
    if not host:
        hint = "write https://service.<region>.maxcompute.aliyun.com/api into it"
        problems.append(Problem("has no extra 'endpoint'", hint))
    wanted = project or fields.text("project")
    if not wanted:
        problems.append(Problem("has no extra 'project'", "write the project there, or into the sink"))
    if problems:
        raise SpecError([_in_connection(fields, problem) for problem in problems])
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxComputeEndpoint

    return MaxComputeEndpoint(
        f"{_url(fields, host.rstrip('/').removesuffix('/api'), fields.text('scheme', 'protocol'))}/api",
        wanted,
        fields.text("access_key_id") or (fields.login or "").strip(),
        fields.text("access_key_secret") or (fields.password or "").strip(),
        security_token=fields.text("sts_token", "security_token", "access_key_token") or None,
        region=fields.text("region") or None,
        tunnel_url=fields.text("tunnel_endpoint") or None,
    )


def _missing_keys(fields: Fields) -> list[Problem]:
    return [
        Problem(f"has no {name}", f"write it into the extra '{name}' or the connection's {other}")
        for name, other in (("access_key_id", "login"), ("access_key_secret", "password"))
        if not (fields.text(name) or (getattr(fields, other) or "").strip())
    ]


def _tablestore_at(url: str) -> list[Problem]:
    """It would answer a bucket's requests with a bare 405. Source: Tablestore documentation, "Endpoints"."""
    labels = (urlsplit(url).hostname or "").split(".")
    if {"ots", "ots-internal", "tablestore"} & set(labels[1:]) and labels[-2:] == ["aliyuncs", "com"]:
        return [Problem("the endpoint is one of Tablestore, not of OSS", "write oss-<region>.aliyuncs.com")]
    return []


def _bucket_in(url: str, bucket: str) -> list[Problem]:
    if bucket and (urlsplit(url).hostname or "").startswith(f"{bucket}."):
        return [
            Problem(
                f"the endpoint contains the bucket's name '{bucket}'",
                f"write {(urlsplit(url).hostname or '').removeprefix(f'{bucket}.')} as the endpoint",
            )
        ]
    return []


def _url(fields: Fields, host: str, scheme: str) -> str:
    """The endpoint as a URL. Without a scheme it is https: no key travels in the open for a missing word."""
    host = host.strip().rstrip("/")
    url = host if "://" in host else f"{scheme or 'https'}://{host}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _wrong(fields.conn_id, "has an endpoint that is no URL", "write https://<host>") from error
    if not parts.hostname or parts.username is not None or parts.scheme not in ("http", "https"):
        raise _wrong(fields.conn_id, "has an endpoint that is no http or https address", "write https://<host>")
    if parts.path or parts.query or parts.fragment:
        raise _wrong(
            fields.conn_id, "has an endpoint with more than a host and a port", f"write {parts.scheme}://<host>"
        )
    if port is None and fields.port and fields.port != _DEFAULT_PORTS[parts.scheme]:
        url = f"{url}:{fields.port}"
    return url


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _first_label(url: str) -> str:
    """The instance's name in a public endpoint; an address in numbers and localhost name none."""
    host = urlsplit(url).hostname or ""
    return "" if re.fullmatch(r"[\d.]+|.*:.*|localhost", host) else host.split(".", 1)[0]


def _seconds(fields: Fields, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _wrong(fields.conn_id, "has an extra 'timeout_seconds' that is no number", "write 60") from None


def _of_type(fields: Fields, wanted: str) -> None:
    if fields.conn_type and fields.conn_type.lower() != wanted:
        raise _wrong(fields.conn_id, f"is of type '{fields.conn_type}'", f"'{wanted}' is needed here")


def _named(fields: Fields, error: SpecError) -> SpecError:
    return SpecError([_in_connection(fields, problem) for problem in error.problems])


def _in_connection(fields: Fields, problem: Problem) -> Problem:
    name = f"connection '{fields.conn_id}'" if fields.conn_id else "the connection"
    return Problem(f"{name}: {problem.message}", problem.hint)


def _wrong(conn_id: str, message: str, hint: str = "") -> SpecError:
    name = f"connection '{conn_id}'" if conn_id else "the connection"
    return SpecError([Problem(f"{name} {message}", hint)])
