"""Where an instance is, and who asks: everything a client needs to know before its first call."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.wire.sign import Credentials


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance and the access key to use there; checked when made.

    :param url: "https://<instance>.<region>.ots.aliyuncs.com", with its port when it has an odd one.
    :param security_token: of temporary keys (STS).
    :param region: set ("cn-hangzhou") signs requests with V4; None with V2.
    :param timeout_seconds: how long one answer may take; connecting gets at most ten seconds of it.
    :param deflates: asks for deflated answers, for links below a gigabit; a service that cannot answers as ever.
    :raises SpecError: every setting that cannot be used.
    """

    url: str
    instance: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    region: str | None = None
    timeout_seconds: float = 60
    deflates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.strip().rstrip("/"))
        problems = [*_problems_of_url(self.url), *_problems_of_rest(self)]
        if problems:
            raise SpecError(problems)

    @property
    def is_encrypted(self) -> bool:
        """Whether answers come over TLS, so that nobody in between can change them unseen."""
        return self.url.startswith("https://")

    @property
    def credentials(self) -> Credentials:
        """What requests are signed with."""
        return Credentials(self.access_key_id, self.access_key_secret, self.security_token)

    def __str__(self) -> str:
        return f"{self.url} (instance {self.instance})"


def _problems_of_url(url: str) -> list[Problem]:
    hint = "write it as https://<instance>.<region>.ots.aliyuncs.com"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return [Problem(f"the endpoint is no URL: {error}", hint, path="endpoint")]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [Problem(f"the endpoint {_shown(url)!r} lacks its scheme or its host", hint, path="endpoint")]
    if parts.username is not None or parts.password is not None:
        told = "the endpoint holds a user or password"
        return [Problem(told, "put the access key into the connection's login and password", path="endpoint")]
    if parts.path or parts.query or parts.fragment or port == 0:
        return [Problem(f"the endpoint {_shown(url)!r} has more than scheme, host and port", hint, path="endpoint")]
    if re.search(r"[^\w.:\[\]-]", parts.netloc, re.ASCII):
        return [Problem(f"the endpoint {_shown(url)!r} has a character that no host has", hint, path="endpoint")]
    return []


def _problems_of_rest(endpoint: Endpoint) -> list[Problem]:
    problems = []
    for name, value, place in (
        ("instance", endpoint.instance, "extra 'instance'"),
        ("access_key_id", endpoint.access_key_id, "login"),
        ("access_key_secret", endpoint.access_key_secret, "password"),
    ):
        if not value:
            problems.append(Problem(f"no {name} is given", f"write it into the connection's {place}", path=name))
    for name, text in (
        ("instance", endpoint.instance),
        ("access_key_id", endpoint.access_key_id),
        ("access_key_secret", endpoint.access_key_secret),
        ("security_token", endpoint.security_token or ""),
        ("region", endpoint.region or ""),
    ):
        if not re.fullmatch(r"[!-~]*", text):
            problems.append(Problem(f"{name} holds a space or a character beyond ASCII", "copy it again", path=name))
    if endpoint.region == "":
        problems.append(Problem("the region is empty", "name it, or leave it out to sign with V2", path="region"))
    if not 0 < endpoint.timeout_seconds < float("inf"):
        problems.append(Problem("timeout_seconds must be above 0", "60 is the default", path="timeout_seconds"))
    return problems


def _shown(url: str) -> str:
    """A URL for a message, without what may be a password."""
    return re.sub(r"//[^/@]*@", "//***@", url)[:200]
