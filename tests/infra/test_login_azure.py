"""At Azure a job's token becomes the identity that plans or applies, and that one reads the state.

The binary asks login.microsoftonline.com and a storage account. Here it is sent to a proxy on
loopback that is both of them, with a certificate that it is told to trust.
"""

import shutil
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import cast
from urllib.parse import parse_qs, urlsplit

import clouds  # noqa: F401 (makes `mlops` importable)
import pytest
from conftest import ROOT
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mlops.cloud.azure import Cloud
from mlops.errors import MlopsError
from mlops.infra import azure

from .terraform import Terraform

HOSTS = ("login.microsoftonline.com", "examplestate.blob.core.windows.net")
TENANT, PLAN, APPLY = (f"{n}0000000-0000-0000-0000-000000000000" for n in (1, 2, 3))
CLOUD = Cloud(
    subscription="40000000-0000-0000-0000-000000000000",
    resource_group="example",
    workspace="example",
    location="westeurope",
    container="https://example.blob.core.windows.net/example",
    plan_client=PLAN,
    apply_client=APPLY,
)
TOKEN = b'{"access_token": "azure", "token_type": "Bearer", "expires_in": "3600"}'
BLOBS = b'<?xml version="1.0"?><EnumerationResults><Blobs></Blobs></EnumerationResults>'
STATE = b'{"version": 4, "terraform_version": "1.11.0", "serial": 1, "lineage": "example"}'


class Proxy(ThreadingHTTPServer):
    """Both hosts; it keeps what was asked of them."""

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), Azure)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate)
        self.tokens: list[dict[str, list[str]]] = []
        self.reads: list[tuple[str, str]] = []


class Azure(BaseHTTPRequestHandler):
    """What stands behind the proxy: nothing can be written there."""

    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        context = cast(Proxy, self.server).context
        self.connection = self.request = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {**parse_qs(form), "host": [self.host], "path": [self.path]}
        cast(Proxy, self.server).tokens.append(asked)
        self.answer(TOKEN, "application/json")

    def do_GET(self) -> None:
        where = f"{self.host}{urlsplit(self.path).path}"
        cast(Proxy, self.server).reads.append((where, self.headers["Authorization"]))
        listed = "comp=list" in self.path
        self.answer(BLOBS if listed else STATE, "application/xml" if listed else "application/json")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in HOSTS]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, *plain))
    with Proxy(certificate) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield server
        server.shutdown()


@pytest.mark.parametrize(("identity", "client"), [("plan", PLAN), ("apply", APPLY)])
def test_terraform_reads_the_state_as_the_identity(
    identity: str,
    client: str,
    proxy: Proxy,
    terraform: Terraform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(ROOT / "template/infra/azure/backend.tf", tmp_path)
    token = tmp_path / "identity-token"
    token.write_text("job")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    for key, value in azure.login(CLOUD, "prod", identity, token).items():
        monkeypatch.setenv(key, value)
    state = [f"-backend-config={key}={value}" for key, value in azure.backend(CLOUD).items()]
    terraform.run(tmp_path, "init", "-input=false", *state)
    (asked, *_) = proxy.tokens
    assert (asked["host"], asked["path"]) == ([HOSTS[0]], [f"/{TENANT}/oauth2/v2.0/token"])
    assert (asked["client_id"], asked["client_assertion"]) == ([client], ["job"])
    assert set(proxy.reads) == {
        (f"{HOSTS[1]}/state", "Bearer azure"),
        (f"{HOSTS[1]}/state/infra.tfstate", "Bearer azure"),
    }


@pytest.mark.parametrize(
    ("missing", "said"),
    [("plan_client", "cloud.plan_client is missing"), ("tenant", "AZURE_TENANT_ID is missing")],
)
def test_what_is_missing_is_named(
    missing: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "" if missing == "tenant" else TENANT)
    cloud = CLOUD.model_copy(update={"plan_client": "" if missing == "plan_client" else PLAN})
    with pytest.raises(MlopsError, match=said):
        azure.login(cloud, "prod", "plan", tmp_path)
