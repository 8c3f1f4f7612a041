"""Each source of identity, and the order in which they are found."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest

import mayfly
from installation import setting, state_of, token_of
from mayfly.errors import Problem
from mayfly.flows import why_refused
from mayfly.identity import SOURCES, SourceFailed, find_identity
from mayfly.identity.source import audiences_of
from mayfly.secret import Secret

ISSUER = "https://mayfly.test"


def jwt(audience: object, subject: str = "spiffe://a.test/b", exp: int = 4_102_444_800) -> str:
    """A token by its looks: who sends one to a broker is refused there."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    header = {"alg": "RS256", "kid": "1", "typ": "JWT"}
    claims = {"aud": audience, "sub": subject, "exp": exp}
    return f"{part(header)}.{part(claims)}.c2ln"


class Recorded:
    def __init__(self) -> None:
        self.requests: list[tuple[str, Mapping[str, str], str]] = []


@contextmanager
def server(status: int, body: str, content_type: str) -> Iterator[tuple[str, Recorded]]:
    """A server of a platform, as its vendor's documentation has it answer."""
    recorded = Recorded()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            sent = self.rfile.read(length).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorded.requests.append((self.path, headers, sent))
            data = body.encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = answer
        do_POST = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{running.server_address[1]}", recorded
        finally:
            running.shutdown()
            thread.join(10)


def prove(environ: Mapping[str, str]) -> str:
    return find_identity(None, environ).prove(ISSUER).expose()


def test_a_file_is_read_again_for_each_proof(tmp_path: Path) -> None:
    file = tmp_path / "token"
    identity = find_identity(None, {"MAYFLY_IDENTITY_FILE": str(file)})
    for subject in ("one", "two"):
        file.write_text(f"{jwt(ISSUER, subject)}\n", encoding="ascii")
        assert identity.prove(ISSUER).expose() == jwt(ISSUER, subject)


def test_a_variable_is_a_source() -> None:
    assert prove({"MAYFLY_IDENTITY_TOKEN": jwt([ISSUER])}) == jwt([ISSUER])


def test_github_actions_is_asked_for_the_brokers_audience() -> None:
    with server(200, json.dumps({"value": jwt(ISSUER)}), "application/json") as (host, recorded):
        environ = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{host}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token",
        }
        assert prove(environ) == jwt(ISSUER)
    path, headers, _body = recorded.requests[0]
    assert parse_qs(urlsplit(path).query) == {"api-version": ["2.0"], "audience": [ISSUER]}
    assert headers["authorization"] == "Bearer request-token"


def test_github_actions_without_the_permission_says_which() -> None:
    with pytest.raises(mayfly.NoIdentity, match="id-token: write"):
        prove({"GITHUB_ACTIONS": "true"})


def test_the_metadata_server_of_gcp_is_asked_with_its_header() -> None:
    with server(200, jwt(ISSUER), "text/html") as (host, recorded):
        assert prove({"GCE_METADATA_HOST": host}) == jwt(ISSUER)
    path, headers, _body = recorded.requests[0]
    assert parse_qs(urlsplit(path).query) == {"audience": [ISSUER], "format": ["full"]}
    assert headers["metadata-flavor"] == "Google"


STS_ANSWER = """<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetWebIdentityTokenResult><WebIdentityToken>{token}</WebIdentityToken>
<Expiration>2100-01-01T00:00:00Z</Expiration></GetWebIdentityTokenResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>"""


AWS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_REGION": "eu-central-1"}


def test_aws_is_asked_through_its_own_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with server(200, STS_ANSWER.format(token=jwt(ISSUER)), "text/xml") as (host, recorded):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{host}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        assert prove(AWS) == jwt(ISSUER)
    asked = parse_qs(recorded.requests[0][2])
    assert asked["Action"] == ["GetWebIdentityToken"]
    assert asked["Audience.member.1"] == [ISSUER]


def test_aws_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        "<Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )
    with server(403, error, "text/xml") as (host, _recorded):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{host}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(mayfly.NoIdentity, match="AccessDenied"):
            prove(AWS)


@contextmanager
def workload_api(tmp_path: Path, token: str) -> Iterator[str]:
    """An agent's socket that answers FetchJWTSVID as the SPIFFE Workload API has it."""
    from spiffe._proto import workload_pb2

    seen: list[str] = []

    def fetch(request: Any, context: grpc.ServicerContext) -> Any:
        metadata = dict(context.invocation_metadata())
        if metadata.get("workload.spiffe.io") != "true":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header is missing")
        seen.extend(request.audience)
        svid = workload_pb2.JWTSVID(spiffe_id="spiffe://system.test/agent/bee", svid=token)
        return workload_pb2.JWTSVIDResponse(svids=[svid])

    handler = grpc.unary_unary_rpc_method_handler(
        fetch,
        request_deserializer=workload_pb2.JWTSVIDRequest.FromString,
        response_serializer=workload_pb2.JWTSVIDResponse.SerializeToString,
    )
    agent = grpc.server(futures.ThreadPoolExecutor(2))
    agent.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", {"FetchJWTSVID": handler}),)
    )
    socket = f"unix://{tmp_path / 'agent.sock'}"
    agent.add_insecure_port(f"unix:{tmp_path / 'agent.sock'}")
    agent.start()
    try:
        yield socket
        assert seen
    finally:
        agent.stop(None).wait(10)


def test_the_spiffe_workload_api_gives_an_identity_that_the_broker_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workload_api(tmp_path, token_of("bee")) as socket:
        monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", socket)
        for name in ("MAYFLY_IDENTITY_FILE", "MAYFLY_IDENTITY_TOKEN", "MAYFLY_IDENTITY_SOURCE"):
            monkeypatch.delenv(name, raising=False)
        opening = mayfly.task(
            goal="by SPIFFE", deadline="1m", url=setting("URL"), issuer=setting("ISSUER")
        )
        with opening as task:
            assert state_of(task.id) == "active"


def test_a_workload_api_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(mayfly.NoIdentity, match="spiffe: the Workload API at unix"):
        prove({"SPIFFE_ENDPOINT_SOCKET": f"unix://{tmp_path / 'none.sock'}"})


def test_a_projected_token_of_kubernetes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(jwt([ISSUER]), encoding="ascii")
    assert prove(
        {"MAYFLY_IDENTITY_SOURCE": "kubernetes", "MAYFLY_KUBERNETES_TOKEN_FILE": str(file)}
    ) == jwt([ISSUER])


def test_what_was_set_for_mayfly_comes_before_what_the_platform_has(tmp_path: Path) -> None:
    assert list(SOURCES) == [
        "file",
        "environment",
        "spiffe",
        "kubernetes",
        "github-actions",
        "aws",
        "gcp",
    ]
    environ = {
        "MAYFLY_IDENTITY_TOKEN": jwt(ISSUER, "mine"),
        "SPIFFE_ENDPOINT_SOCKET": f"unix://{tmp_path / 'none.sock'}",
    }
    assert prove(environ) == jwt(ISSUER, "mine")


def test_each_source_can_be_chosen_by_name() -> None:
    environ = {"MAYFLY_IDENTITY_TOKEN": jwt(ISSUER), "MAYFLY_IDENTITY_FILE": "/nowhere/token"}
    assert find_identity("environment", environ).prove(ISSUER).expose() == jwt(ISSUER)
    with pytest.raises(mayfly.NoIdentity, match="/nowhere/token cannot be read"):
        find_identity("file", environ).prove(ISSUER)
    with pytest.raises(mayfly.MayflyError, match="Take one of file, environment"):
        find_identity("flie", environ)


def test_without_any_each_that_was_tried_is_listed_with_why() -> None:
    with pytest.raises(mayfly.NoIdentity) as error:
        prove({})
    assert error.value.code == "no_identity"
    for name in SOURCES:
        assert f"\n  {name}: " in str(error.value)


def test_a_source_that_is_set_up_and_fails_is_replaced_by_no_other(tmp_path: Path) -> None:
    """Else a workload would be another one for an hour, because a socket was slow once."""
    environ = {
        "MAYFLY_IDENTITY_FILE": str(tmp_path / "none"),
        "MAYFLY_IDENTITY_TOKEN": jwt(ISSUER),
    }
    with pytest.raises(mayfly.NoIdentity, match="cannot be read"):
        prove(environ)


@pytest.mark.parametrize(
    "text",
    ["", "a.b", "a.!!!.c", f"a.{'A' * 40}.c", "a.W10.c", "a.bnVsbA.c", "a." + "W1tb" * 4000 + ".c"],
    ids=["nothing", "two-parts", "no-base64", "no-json", "a-list", "null", "deep"],
)
def test_what_is_no_jwt_is_not_sent(text: str) -> None:
    with pytest.raises(SourceFailed, match="no JWT"):
        audiences_of(text)


def test_a_proof_that_was_refused_and_is_expired_here_is_said_to_be() -> None:
    refused = Problem("invalid_identity", "The identity could not be verified.", hint="Mend it.")
    expired = Secret(jwt(ISSUER, exp=1_000))
    assert why_refused(refused, expired, 1_090.5).hint == (
        "By this machine's clock the token has been expired for 90 s. Mend it."
    )
    assert why_refused(refused, expired, 999.0) is refused
    assert why_refused(refused, Secret(jwt(ISSUER)), 1_090.5) is refused
    denied = Problem("denied", "No.")
    assert why_refused(denied, expired, 1_090.5) is denied


def test_a_file_too_large_or_binary_is_no_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for content, why in ((b"x" * 70_000, "larger"), (b"\xff\xfe", "no token"), (b" \n", "empty")):
        file.write_bytes(content)
        with pytest.raises(mayfly.NoIdentity, match=why):
            prove({"MAYFLY_IDENTITY_FILE": str(file)})
