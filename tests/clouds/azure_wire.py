"""A proxy on loopback that answers for Azure's hosts, under their own names and over TLS.

The SDK is as it is: HTTPS_PROXY leads it here, REQUESTS_CA_BUNDLE lets it trust what it finds. Any
other host is refused, so that nothing leaves the machine. A plain request to the proxy itself is
one for a token, as a machine of Azure's asks for its identity's.
"""

import base64
import datetime
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = 86400  # seconds of a token


class Request(NamedTuple):
    """What was asked."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # by lower-case name
    body: bytes
    target: str  # path and query, as they came


class Reply(NamedTuple):
    """What is answered; a dict goes out as JSON."""

    status: int
    body: Any = b""
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)


Answer = Callable[[Request], Reply]


class Wire:
    """The proxy; ``hosts`` are the names that it answers for (``*.`` stands for one label)."""

    def __init__(self, folder: Path, hosts: list[str], answer: Answer) -> None:
        self.certificate, self.key = _certificate(folder, hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        handler = type("Bound", (_Handler,), {"context": context, "hosts": hosts, "answer": answer})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def variables(self) -> dict[str, str]:
        """Return what leads the SDK here, as a machine of Azure's with an identity."""
        return {
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.certificate),
            "IDENTITY_ENDPOINT": f"{self.url}/token",
            "IDENTITY_HEADER": "loopback",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    context: ssl.SSLContext
    hosts: list[str]
    answer: Answer

    def do_CONNECT(self) -> None:
        """Be the host that is asked for, from here on."""
        if not _known(self.path.partition(":")[0], self.hosts):
            self.send_error(403, f"{self.path} is not faked")
            return
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)  # type: ignore[assignment]
        self.close_connection = False

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = {name: values[0] for name, values in parse_qs(parts.query, True).items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        if "chunked" in headers.get("transfer-encoding", ""):
            body = self._chunks()
        host = headers["host"].partition(":")[0]
        if host == "127.0.0.1":
            told = {"access_token": token(query["resource"]), "resource": query["resource"]}
            until = str(int(time.time()) + VALID)
            reply = Reply(200, {**told, "expires_on": until, "token_type": "Bearer"})
        else:
            reply = type(self).answer(
                Request(self.command, host, parts.path, query, headers, body, self.path)
            )
        content = reply.body
        more = dict(reply.headers)
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            more.setdefault("Content-Type", "application/json")
        self.send_response(reply.status)
        for name, value in more.items():
            self.send_header(name, value)
        if "content-length" not in map(str.lower, more):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _known(host: str, hosts: list[str]) -> bool:
    return host in hosts or f"*.{host.partition('.')[2]}" in hosts


def token(resource: str) -> str:
    """Return a token that says what it is for; nobody has signed it, nobody here would check."""
    now = int(time.time())
    tenant = "00000000-0000-0000-0000-000000007e4a"
    claims: dict[str, Any] = {
        "aud": resource,
        "iss": f"https://sts.windows.net/{tenant}/",
        "tid": tenant,
    }
    claims |= {"iat": now, "nbf": now - 60, "exp": now + VALID}
    parts = [{"alg": "none", "typ": "JWT"}, claims, {}]
    coded = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts]
    return b".".join(coded).decode()


def _certificate(folder: Path, hosts: list[str]) -> tuple[Path, Path]:
    """Write a certificate for these hosts, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in hosts]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "loopback.pem", folder / "loopback.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret
