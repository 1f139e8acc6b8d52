"""The Dockerfile and compose.yaml: checked as text always, built and run where the tools are."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Project, render

TOOLS = ["buildah", "podman", "runc", "mmdebstrap"]
# What Python needs of Debian, and Envoy's health check.
LIBRARIES = "ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libsqlite3-0,libssl3,zlib1g"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASE, ENVOY, IMAGE = "localhost/base:test", "localhost/envoy:test", "localhost/flight-delays"
CONFIGURATION = {
    "containers.conf": """
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "netavark"
""",
    "storage.conf": """
[storage]
driver = "overlay"
graphroot = "{0}/images"
runroot = "{0}/run"
""",
    "pip.conf": f"[global]\ncert = {CERTIFICATES}\n",
    "uv.toml": "native-tls = true\n",
}
# Inside the container: ends the server, and says what it still answers.
DRAIN = """
import json, os, signal, time, urllib.error, urllib.request

def ask(path, body=None):
    headers = {"x-api-key": "secret", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:8080{path}", body, headers)
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code

contract = json.load(open("/model/contract.json"))
record = {field["name"]: field["example"] for field in contract["fields"]}
body = json.dumps({"records": [record]}).encode()
before = ask("/ready"), ask("/predict", body)
os.kill(1, signal.SIGTERM)
while ask("/ready") == 200:
    time.sleep(0.01)
print(*before, ask("/ready"), ask("/predict", body), flush=True)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("tree") / "flight-delays")


def tool(name: str, *arguments: str, cwd: Path) -> str:
    """Run a tool of this environment; return what it says."""
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_hadolint_has_nothing_to_say(tree: Path) -> None:
    assert tool("hadolint", "Dockerfile", cwd=tree) == ""
    (tree / "Bad").write_text("FROM debian\nRUN apt-get install curl\n")
    assert "DL3006" in tool("hadolint", "Bad", cwd=tree)


def test_compose_is_valid_and_shut(tree: Path) -> None:
    check = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    assert tool(*check, "compose.yaml", cwd=tree) == ""
    text = (tree / "compose.yaml").read_text()
    (tree / "bad.yaml").write_text(text.replace("read_only: true", "read_only: 3"))
    assert "read_only" in tool(*check, "bad.yaml", cwd=tree)
    services = yaml.safe_load(text)["services"]
    assert sorted(services) == ["blue", "envoy", "green"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
        assert "test" in service["healthcheck"]
        assert "privileged" not in service


def test_nothing_but_what_is_copied_reaches_the_build(tree: Path) -> None:
    lines = (tree / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert ".secrets" not in kept
    docker = (tree / "Dockerfile").read_text()
    for word in ("SECRET", "PASSWORD", "API_KEY", "TOKEN"):
        assert word not in docker.upper()
    for line in docker.splitlines():
        if line.startswith("COPY ") and "--from" not in line and "${MODEL}" not in line:
            assert set(line.split()[1:-1]) <= kept, line


class Containers:
    """Builds and runs images in a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in CONFIGURATION.items():
            (folder / name).write_text(text.format(folder))
        self.variables = {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> str:
        """Run a command and return what it prints."""
        done = subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | self.variables | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (
            f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
        return done.stdout.strip()

    def python_base(self) -> None:
        """Make the base image of a Debian and the Python that runs this."""
        archive, python = self.folder / "debian.tar", Path(sys.base_prefix)
        options = ["--variant=minbase", f"--include={LIBRARIES}"]
        self.run("mmdebstrap", *options, "bookworm", str(archive))
        made = self.run("buildah", "from", "scratch")
        self.run("buildah", "add", "--quiet", made, str(archive), "/")
        root = Path(self.run("buildah", "mount", made))
        skip = shutil.ignore_patterns("site-packages", "test", "__pycache__", "*.a", "share")
        shutil.copytree(python, root / "usr/local", ignore=skip, symlinks=True, dirs_exist_ok=True)
        (library,) = (root / "usr/local/lib").glob("python3*")
        pip = next(python.glob("lib/python3*/site-packages/pip"))
        shutil.copytree(pip, library / "site-packages/pip")
        self.run("chroot", str(root), "ldconfig")
        self.run("buildah", "umount", made)
        self.run("buildah", "commit", "--quiet", made, BASE)

    def envoy(self, binary: Path) -> None:
        """Make an image that has Envoy where the official one has it."""
        made = self.run("buildah", "from", "--pull-never", BASE)
        self.run("buildah", "copy", "--chmod", "755", made, str(binary), "/usr/local/bin/envoy")
        self.run("buildah", "commit", "--quiet", made, ENVOY)

    def build(self, project: Project, model: Path, version: int) -> None:
        """Build the image of a version as the Dockerfile's first lines say."""
        mounts = {CERTIFICATES: os.environ.get("SSL_CERT_FILE", CERTIFICATES)}
        mounts |= {"/etc/pip.conf": str(self.folder / "pip.conf")}
        mounts |= {"/etc/uv/uv.toml": str(self.folder / "uv.toml")}
        values = {"BASE": BASE, "MODEL": str(model.relative_to(project.root)), "REVISION": "abc"}
        self.run(
            *("buildah", "build", "--format=docker", "--pull-never"),
            *(f"--volume={source}:{target}:ro" for target, source in mounts.items()),
            *(f"--build-arg={name}={value}" for name, value in values.items()),
            *(f"--build-arg=VERSION={version}", f"--tag={IMAGE}:{version}", "."),
            cwd=project.root,
        )

    def renumber(self, version: int, other: int) -> None:
        """Make the same model another version, which saves building twice."""
        made = self.run("buildah", "from", "--pull-never", f"{IMAGE}:{version}")
        self.run("buildah", "config", f"--env=MLOPS_VERSION={other}", made)
        self.run("buildah", "commit", "--quiet", "--format=docker", made, f"{IMAGE}:{other}")


@pytest.fixture(scope="module")
def built(
    champion: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Containers, Project]]:
    """The image of version 1, and of the same model as version 2."""
    missing = [name for name in TOOLS if not shutil.which(name)]
    if missing or os.geteuid() or sys.base_prefix == "/usr":
        needs = ", ".join(missing) or "root, and a Python of its own folder"
        pytest.skip(f"NO IMAGE IS BUILT OR RUN HERE: it takes {needs}")
    project = champion.copy(tmp_path_factory.mktemp("image") / "flight-delays")
    fetch = "from mlops import candidate; print(candidate.fetch(1))"
    model = project.root / project.run("python", "-c", fetch).splitlines()[-1]
    containers = Containers(tmp_path_factory.mktemp("containers"))
    containers.python_base()
    started = time.perf_counter()
    containers.build(project, model, 1)
    took = time.perf_counter() - started
    containers.renumber(1, 2)
    size = containers.run("podman", "image", "inspect", f"{IMAGE}:1", "--format", "{{.Size}}")
    base = containers.run("podman", "image", "inspect", BASE, "--format", "{{.Size}}")
    print(f"\nimage: {int(size) / 1e6:.0f} MB, of which base {int(base) / 1e6:.0f}; {took:.0f} s")
    yield containers, project
    containers.run("podman", "rm", "--all", "--force")
    containers.run("podman", "rmi", "--all", "--force")


@pytest.mark.long
@pytest.mark.container
def test_the_image_answers_shut_in(built: tuple[Containers, Project]) -> None:
    containers, _ = built
    labels = containers.run(
        "podman", "image", "inspect", f"{IMAGE}:1", "--format", "{{json .Labels}}"
    )
    named = {key.rpartition(".")[2]: value for key, value in json.loads(labels).items()}
    assert named["version"] == "1"
    assert (named["title"], named["revision"]) == ("flight-delays", "abc")

    shut = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    key = "--env=MLOPS_API_KEYS=secret"
    model = containers.run("podman", "run", "--detach", "--network=none", *shut, key, f"{IMAGE}:1")
    try:
        for _ in range(600):
            state = subprocess.run(
                ["podman", "healthcheck", "run", model],
                env=os.environ | containers.variables,
                capture_output=True,
                check=False,
            )
            if state.returncode == 0:
                break
            time.sleep(0.1)
        assert state.returncode == 0, containers.run("podman", "logs", model)
        inside = ("podman", "exec", model)
        assert containers.run(*inside, "id", "-u") == "10001"
        write = "for f in /app/x /model/x /usr/x; do touch $f 2>/dev/null && echo $f; done; true"
        assert containers.run(*inside, "sh", "-c", write) == ""
        assert containers.run(*inside, "sh", "-c", "touch /tmp/x /app/deployments/x") == ""
        assert containers.run(*inside, "python", "-c", DRAIN) == "200 200 503 200"
        assert containers.run("podman", "wait", model) == "0"
    finally:
        containers.run("podman", "rm", "--force", model)


@pytest.mark.long
@pytest.mark.container
def test_compose_splits_traffic(built: tuple[Containers, Project]) -> None:
    containers, project = built
    (binary,) = project.environment.glob("lib/python3*/site-packages/envoy/_bin/envoy")
    containers.envoy(binary)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {"BLUE": "1", "GREEN": "2", "IMAGE": IMAGE, "ENVOY": ENVOY, "PORT": port}
    settings |= {"MLOPS_API_KEYS": "secret", "REPLICAS": "1"}

    def compose(*arguments: str) -> str:
        command = (sys.executable, "-m", "podman_compose", "--profile", "green", *arguments)
        return containers.run(*command, cwd=project.root, **settings)

    share(project, 0)
    compose("up", "--detach")
    try:
        fields = json.loads((project.root / "models/candidate/contract.json").read_text())["fields"]
        record = {field["name"]: field["example"] for field in fields}
        assert ask(port, record, until="1")["version"] == "1"
        share(project, 100)
        assert ask(port, record, until="2")["version"] == "2"
        for name in ("blue", "envoy"):
            (found,) = containers.run(
                "podman", "ps", "--quiet", f"--filter=label=com.docker.compose.service={name}"
            ).splitlines()
            containers.run("podman", "healthcheck", "run", found)
            shut = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.EffectiveCaps}}"
            shown = containers.run("podman", "inspect", found, "--format", shut)
            assert shown == f"true {512 << 20} []"
    finally:
        compose("down", "--volumes")


def share(project: Project, challenger: int) -> None:
    """Write Envoy's configuration, so that green has this share."""
    code = (
        "from pathlib import Path\n"
        "from mlops.release.targets import compose\n"
        "from mlops.release.traffic import Traffic\n"
        "from mlops.settings import Serving\n"
        f"traffic = Traffic(champion={100 - challenger}, challenger={challenger})\n"
        "compose.write(Path('deployments/compose'), Serving(), traffic)"
    )
    project.run("python", "-c", code)


def ask(port: str, record: dict[str, Any], until: str) -> dict[str, Any]:
    """Return an answer, once it comes from a version."""
    body = json.dumps({"records": [record]}).encode()
    headers = {"content-type": "application/json", "x-api-key": "secret"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
    answer: dict[str, Any] = {}
    for _ in range(600):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
        except (ConnectionError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code != 503:
                raise
        if answer.get("version") == until:
            break
        time.sleep(0.1)
    return answer
