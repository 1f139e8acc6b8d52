"""Terraform finds an environment's state, and acts as who it should, by src/mlops/infra/."""

import gzip
import importlib
import inspect
import json
import shutil
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, get_type_hints

import clouds  # noqa: F401 (makes `mlops` importable)
import pytest
import yaml
from conftest import ROOT

from .conftest import PROVIDERS
from .terraform import Terraform


def modules(provider: str) -> tuple[Any, Any]:
    """Return a provider's module of infra/ and its class of names."""
    return (
        importlib.import_module(f"mlops.infra.{provider}"),
        importlib.import_module(f"mlops.cloud.{provider}").Cloud,
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_keeps_to_the_protocol(provider: str) -> None:
    module, cloud = modules(provider)
    wanted = {
        "backend": (["cloud"], dict[str, str]),
        "audience": (["cloud"], str),
        "login": (["cloud", "environment", "identity", "token"], dict[str, str]),
    }
    for name, (names, answer) in wanted.items():
        function = getattr(module, name)
        said = get_type_hints(function)
        assert list(inspect.signature(function).parameters) == names, name
        assert (said["cloud"], said["return"]) == (cloud, answer), name


STATE = {"version": 4, "terraform_version": "1.11.0", "serial": 1, "lineage": "example"}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "tfstate-default-infra", "labels": {"app.kubernetes.io/part-of": "x"}},
    "data": {"tfstate": b64encode(gzip.compress(json.dumps(STATE).encode())).decode()},
}


class Cluster(BaseHTTPRequestHandler):
    """An API server that has a state, keeps what it was asked, and changes nothing."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path.partition("?")[0])
        listed = self.asked[-1].endswith("/secrets")
        said = {"apiVersion": "v1", "kind": "SecretList", "items": [SECRET]} if listed else SECRET
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def kubeconfig(address: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "one", "cluster": {"server": address}}],
            "users": [{"name": "one", "user": {}}],
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        }
    )


def test_terraform_asks_the_cluster_of_the_kubeconfig_for_its_state(
    terraform: Terraform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, cloud = modules("kubernetes")
    names = cloud(context="one", namespace="example-prod", image="example.com/example")
    shutil.copy(ROOT / "template/infra/kubernetes/backend.tf", tmp_path)
    Cluster.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        config = tmp_path / "kubeconfig"
        config.write_text(kubeconfig(f"http://127.0.0.1:{server.server_port}"))
        monkeypatch.setenv("KUBECONFIG", str(config))
        for key, value in module.login(names, "prod", "plan", Path()).items():
            monkeypatch.setenv(key, value)
        state = [f"-backend-config={key}={value}" for key, value in module.backend(names).items()]
        terraform.run(tmp_path, "init", "-input=false", *state)
        server.shutdown()
    assert set(Cluster.asked) == {"/api/v1/namespaces/example-prod-state/secrets"}


def test_terraform_in_a_pod_goes_by_the_pods_account(
    terraform: Terraform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, cloud = modules("kubernetes")
    names = cloud(namespace="example-prod", image="example.com/example")
    shutil.copy(ROOT / "template/infra/kubernetes/backend.tf", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    assert module.login(names, "prod", "plan", Path()) == {}
    state = [f"-backend-config={key}={value}" for key, value in module.backend(names).items()]
    said = terraform.run(tmp_path, "init", "-input=false", *state, fails=True)  # this is no pod
    assert "secrets/kubernetes.io/serviceaccount/token" in said
