"""The client against a service over real sockets, with a script of what goes wrong. Sleeping and clocks are faked."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_tablestore.client.client import Client, Surroundings
from airflow_tablestore.client.endpoint import Endpoint
from airflow_tablestore.client.retry import RetryPolicy
from airflow_tablestore.errors import ProtocolError, Rejected, RetryLater
from airflow_tablestore.wire import sign
from airflow_tablestore.wire.call import Call, Room
from airflow_tablestore.wire.proto import table_pb2

KEY_ID, SECRET = "demo-access-key-id", "demo-access-key-secret"
READ = Call("/ListTable", b"asked", bytes)
WRITE = Call("/PutRow", b"asked", bytes, is_repeatable=False)


class ScriptedService(ThreadingHTTPServer):
    """Answers each request with the next step of its script; the last step goes on for ever."""

    daemon_threads = True

    def __init__(self, *steps):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.steps = steps
        self.requests: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.now = lambda: datetime.now(UTC)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Broken connections are part of the script."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        step = self.server.steps[min(len(self.server.requests), len(self.server.steps) - 1)]
        self.server.requests.append(self.path)
        self.server.connections.add(self.client_address)
        step(self, body)

    def log_message(self, *args) -> None:
        """Quiet."""

    def caller(self, body: bytes) -> sign.Caller:
        return sign.verify_request(
            self.path, dict(self.headers), body, secret_of={KEY_ID: SECRET}.get, now=self.server.now()
        )

    def send(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def good(payload: bytes = b"told"):
    def step(handler: _Handler, body: bytes) -> None:
        try:
            caller = handler.caller(body)
        except Rejected as refusal:
            failing(refusal.status, refusal.code, str(refusal))(handler, body)
            return
        handler.send(200, signed(handler, caller, payload), payload)

    return step


def failing(status: int, code: str, message: str = "Something."):
    def step(handler: _Handler, body: bytes) -> None:
        payload = table_pb2.Error(code=code, message=message).SerializeToString()
        handler.send(status, sign.unsigned_response(payload, request_id="r-2", now=handler.server.now()), payload)

    return step


def raw(status: int, payload: bytes, **headers: str):
    return lambda handler, body: handler.send(status, headers, payload)


def reset(handler: _Handler, body: bytes) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def cut(handler: _Handler, body: bytes) -> None:
    handler.send(200, signed(handler, handler.caller(body), b"told"), b"to", length=4)
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_WR)


def damaged(handler: _Handler, body: bytes) -> None:
    handler.send(200, signed(handler, handler.caller(body), b"told"), b"tale")


def forged(handler: _Handler, body: bytes) -> None:
    headers = sign.sign_response(
        handler.path, b"told", access_key_id=KEY_ID, key=b"guessed", request_id="r-3", now=handler.server.now()
    )
    handler.send(200, headers, b"told")


def silent(handler: _Handler, body: bytes) -> None:
    threading.Event().wait(20)  # longer than the client's patience
    handler.close_connection = True


def signed(handler: _Handler, caller: sign.Caller, payload: bytes) -> dict[str, str]:
    return sign.sign_response(
        handler.path,
        payload,
        access_key_id=caller.access_key_id,
        key=caller.key,
        request_id="r-1",
        now=handler.server.now(),
    )


class Machine:
    """A stopwatch that only sleeping moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def surroundings(self, now=lambda: datetime.now(UTC)) -> Surroundings:
        return Surroundings(now=now, stopwatch=lambda: sum(self.slept), sleep=self.slept.append, chance=lambda: 1.0)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def serve() -> Iterator:
    running = []

    def start(*steps) -> ScriptedService:
        service = ScriptedService(*steps)
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((service, thread))
        return service

    yield start
    for service, thread in running:
        service.shutdown()
        service.server_close()
        thread.join()


def endpoint(url: str, **changes) -> Endpoint:
    return Endpoint(
        **({"url": url, "instance": "demo", "access_key_id": KEY_ID, "access_key_secret": SECRET} | changes)
    )


@pytest.mark.parametrize("region", [None, "cn-hangzhou"], ids=["v2", "v4"])
@pytest.mark.parametrize("token", [None, "sts-token"])
def test_a_signed_call_gets_its_answer(serve, region, token):
    service = serve(good())

    with Client(endpoint(service.url, region=region, security_token=token)) as client:
        assert client.send(READ) == b"told"


def test_a_connection_is_kept_between_calls(serve):
    service = serve(good())

    with Client(endpoint(service.url)) as client:
        for _ in range(5):
            client.send(READ)

    assert len(service.connections) == 1


def test_answers_take_turns_in_a_room(serve):
    service = serve(good(b"a page of rows"), good(b"a shorter one"), good(b"x" * 300_000), good(b""), good(b"last"))
    call = Call("/ListTable", b"asked", lambda body: body, room=Room())

    with Client(endpoint(service.url)) as client:
        first = client.send(call)
        assert bytes(first) == b"a page of rows"
        assert bytes(client.send(call)) == b"a shorter one"
        assert bytes(first) == b"a shorter ones"
        assert [len(client.send(call)), bytes(client.send(call)), bytes(client.send(call))] == [300_000, b"", b"last"]

    assert len(service.connections) == 1


def test_a_refusal_is_told_whatever_room_its_call_has(serve):
    service = serve(failing(404, "OTSObjectNotExist", "Not there."), good())
    call = replace(READ, room=Room())

    with Client(endpoint(service.url)) as client:
        with pytest.raises(Rejected, match="Not there"):
            client.send(call)
        assert client.send(call) == b"told"

    assert len(service.connections) == 1


def test_threads_share_a_client(serve):
    service = serve(good())
    answers: list[bytes] = []

    with Client(endpoint(service.url), connections=3) as client:
        threads = [threading.Thread(target=lambda: answers.append(client.send(READ))) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == [b"told"] * 12
    assert len(service.connections) <= 3


@pytest.mark.parametrize(
    "trouble",
    [
        reset,
        cut,
        damaged,
        failing(503, "OTSServerBusy"),
        failing(503, "OTSPartitionUnavailable"),
        failing(500, "OTSInternalServerError"),
        failing(403, "OTSCapacityUnitExhausted"),
        failing(503, "OTSBrandNew"),
        raw(502, b"<html>Bad gateway</html>"),
    ],
    ids=["reset", "cut", "damaged", "busy", "partition", "internal", "capacity", "unknown-5xx", "gateway"],
)
@pytest.mark.parametrize("room", [None, Room()], ids=["", "room"])
def test_a_read_outlives_what_passes(serve, machine, trouble, room):
    service = serve(trouble, trouble, good())
    heard: list[str] = []

    with Client(endpoint(service.url), surroundings=machine.surroundings(), on_retry=heard.append) as client:
        assert client.send(replace(READ, room=room)) == b"told"

    assert machine.slept == pytest.approx([0.1, 0.2])
    assert len(heard) == 2
    assert all(reason.startswith("ListTable: ") for reason in heard)


def test_a_repetition_is_told_once(serve, machine, caplog):
    caplog.set_level(logging.INFO, "airflow_tablestore")
    service = serve(failing(503, "OTSServerBusy"), good())
    heard: list[str] = []

    with Client(endpoint(service.url), surroundings=machine.surroundings(), on_retry=heard.append) as client:
        client.send(READ)

    assert len(heard) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("trouble", [reset, cut, damaged, failing(500, "OTSInternalServerError"), raw(502, b"")])
def test_a_write_with_an_unknown_outcome_is_sent_once(serve, machine, trouble):
    service = serve(trouble, good())

    with Client(endpoint(service.url), surroundings=machine.surroundings()) as client, pytest.raises(RetryLater):
        client.send(WRITE)

    assert len(service.requests) == 1


def test_a_write_that_was_refused_for_now_is_sent_again(serve, machine):
    service = serve(failing(503, "OTSServerBusy"), good())

    with Client(endpoint(service.url), surroundings=machine.surroundings()) as client:
        assert client.send(WRITE) == b"told"


@pytest.mark.slow
def test_a_silent_service_times_out(serve, machine):
    service = serve(silent, good())

    with Client(endpoint(service.url, timeout_seconds=1), surroundings=machine.surroundings()) as client:
        assert client.send(READ) == b"told"

    assert len(service.requests) >= 2  # a slow machine may be silent for a second once more


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "OTSAuthFailed"), (404, "OTSObjectNotExist"), (400, "OTSParameterInvalid"), (400, "OTSInvalidPK")],
)
def test_what_repeating_cannot_help_is_sent_once(serve, machine, status, code):
    service = serve(failing(status, code))

    with (
        Client(endpoint(service.url), surroundings=machine.surroundings()) as client,
        pytest.raises(Rejected) as refusal,
    ):
        client.send(READ)

    assert refusal.value.code == code
    assert len(service.requests) == 1


def test_a_wrong_secret_is_told_as_such(serve):
    service = serve(good())

    with (
        Client(endpoint(service.url, access_key_secret="other")) as client,
        pytest.raises(Rejected, match=r"Signature mismatch.*access key secret"),
    ):
        client.send(READ)


def test_a_forged_answer_is_refused(serve):
    service = serve(forged)

    with Client(endpoint(service.url)) as client, pytest.raises(ProtocolError, match="signature is wrong"):
        client.send(READ)

    assert len(service.requests) == 1


def test_an_answer_of_something_else_is_refused(serve):
    service = serve(raw(200, b"<html>Please log in</html>"))

    with Client(endpoint(service.url)) as client, pytest.raises(ProtocolError, match="not Tablestore's own"):
        client.send(READ)


def test_a_redirect_is_not_followed(serve):
    service = serve(raw(302, b"", location="http://127.0.0.1:1/"))

    with Client(endpoint(service.url)) as client, pytest.raises(ProtocolError, match="302"):
        client.send(READ)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_clocks_that_are_apart_are_both_told(serve, machine, minutes):
    service = serve(good())
    moment = datetime.now(UTC)
    service.now = lambda: moment
    wrong = moment + timedelta(minutes=minutes)

    with (
        Client(endpoint(service.url), surroundings=machine.surroundings(now=lambda: wrong)) as client,
        pytest.raises(Rejected, match="clock") as refusal,
    ):
        client.send(READ)

    assert refusal.value.code == "ClockSkew"
    assert f"{wrong:%Y-%m-%d %H:%M:%S} UTC" in str(refusal.value)
    assert client.clock_skew() == pytest.approx(timedelta(minutes=-minutes), abs=timedelta(seconds=1))
    assert len(service.requests) == 1


def test_the_services_clock_is_counted_on_from_its_latest_answer(serve, machine):
    service = serve(good())
    moment = datetime(2024, 1, 1, 8, tzinfo=UTC)
    service.now = lambda: moment + timedelta(minutes=2)

    with Client(endpoint(service.url), surroundings=machine.surroundings(now=lambda: moment)) as client:
        before = client.service_time()
        client.send(READ)
        machine.slept.append(60.0)
        after = client.service_time()

    assert before is None
    assert after == moment + timedelta(minutes=3)
    assert client.clock_skew() == timedelta(minutes=2)


def test_a_busy_service_is_given_up_in_the_end(serve, machine):
    service = serve(failing(503, "OTSServerBusy"))
    policy = RetryPolicy(attempts=5, base_seconds=1.0, cap_seconds=4.0)

    with (
        Client(endpoint(service.url), surroundings=machine.surroundings(), retry=policy) as client,
        pytest.raises(RetryLater, match=r"OTSServerBusy.*Gave up after 5 attempts in 11 s") as last,
    ):
        client.send(READ)

    assert machine.slept == [1.0, 2.0, 4.0, 4.0]
    assert (last.value.code, last.value.operation, last.value.request_id) == ("OTSServerBusy", "ListTable", "r-2")
    assert str(last.value).count("request id") == 1


def test_no_attempt_is_begun_after_the_total_time(serve, machine):
    service = serve(failing(503, "OTSServerBusy"))
    policy = RetryPolicy(attempts=99, base_seconds=10.0, cap_seconds=10.0, total_seconds=35.0)

    with (
        Client(endpoint(service.url), surroundings=machine.surroundings(), retry=policy) as client,
        pytest.raises(RetryLater),
    ):
        client.send(READ)

    assert sum(machine.slept) <= 35.0


def test_a_port_where_nobody_listens_is_told_soon(machine):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"  # nobody else gets it meanwhile

        with (
            Client(endpoint(url), surroundings=machine.surroundings()) as client,
            pytest.raises(RetryLater, match="nobody answers at") as failure,
        ):
            client.send(READ)

    assert url in str(failure.value)
    assert "refused" in str(failure.value)
    assert "instance demo" in str(failure.value)
    assert len(machine.slept) == 3


def test_a_host_that_does_not_exist_is_told_by_name(machine, monkeypatch):
    def resolve(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with (
        Client(endpoint("http://demo.nowhere.invalid"), surroundings=machine.surroundings()) as client,
        pytest.raises(RetryLater, match=r"no host.*demo\.nowhere\.invalid.*DNS"),
    ):
        client.send(READ)


@pytest.mark.slow
def test_plain_http_behind_an_https_address_is_told_once(serve, machine):
    service = serve(good())
    url = service.url.replace("http://", "https://")

    with (
        Client(endpoint(url), surroundings=machine.surroundings()) as client,
        pytest.raises(Rejected, match=f"{url}.*speaks no TLS.*http://") as refusal,
    ):
        client.send(READ)

    assert refusal.value.code == "TLSFailed"
    assert machine.slept == []


@pytest.mark.slow
def test_a_certificate_of_nobody_we_trust_is_told_once(serve, machine, tmp_path):
    service = serve(good())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    service.socket = context.wrap_socket(service.socket, server_side=True)
    url = service.url.replace("http://", "https://")

    with (
        Client(endpoint(url), surroundings=machine.surroundings()) as client,
        pytest.raises(Rejected, match=f"certificate of {url}.*not trusted") as refusal,
    ):
        client.send(READ)

    assert refusal.value.code == "TLSFailed"
    assert machine.slept == []


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "self_signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return pem


def test_no_secret_is_logged_or_told(serve, machine, caplog):
    caplog.set_level(logging.DEBUG)
    service = serve(failing(503, "OTSServerBusy"), reset, failing(403, "OTSAuthFailed", "Signature mismatch."))

    client = Client(endpoint(service.url, security_token="sts-token"), surroundings=machine.surroundings())
    with client, pytest.raises(Rejected) as refusal:
        client.send(READ)

    told = f"{caplog.text} {refusal.value} {refusal.value!r} {client!r}"
    assert SECRET not in told
    assert "sts-token" not in told


def test_a_stopped_run_makes_no_further_attempt():
    told: list[str] = []
    stop = threading.Event()
    stop.set()

    with Client(endpoint("http://127.0.0.1:9"), on_retry=told.append) as client, pytest.raises(RetryLater):
        client.pausing(stop.wait).send(READ)

    assert len(told) == 1
