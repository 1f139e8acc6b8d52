"""The image of one version: built, pushed, described and signed by the tools that are here.

dist/image.txt names what was made: ``REPOSITORY@DIGEST``, or a tag that is on this machine only.
"""

import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import candidate, project
from .errors import MlopsError
from .lineage import git_state, now, sha256
from .scorer import SERVED
from .settings import environment_name, load_settings

# Each takes the same words; only Docker's format, which these two must be asked for, has a
# HEALTHCHECK.
BUILD = {"docker": [], "podman": ["--format=docker"], "buildah": ["--format=docker"]}
MADE, PROVENANCE, SBOM = (
    Path("dist/image.txt"),
    Path("dist/provenance.json"),
    Path("dist/sbom.cdx.json"),
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LOCKS = [Path("uv.lock"), Path("dvc.lock")]


def build(number: int, repository: str, run: str) -> str:
    """Build the image of a version, push it if there is a repository, and return its name.

    Args:
        number: the version.
        repository: such as ghcr.io/team/name; empty keeps the image on this machine.
        run: URL of the pipeline's run, for the provenance.

    Raises:
        GateError: the version's gate record is not genuine, or a refusal.
        MlopsError: nothing here builds images, or what does fails.
    """
    state, tool = git_state(), builder()
    if repository and state.dirty:
        raise MlopsError(
            "Not everything is committed, and a pushed image names its commit: commit."
        )
    gate = candidate.verify_version(number).signature
    model = candidate.fetch(number)
    name = f"{repository or project.NAME}:{number}"
    values = {"MODEL": model.as_posix(), "VERSION": str(number), "REVISION": state.commit}
    options = [f"--build-arg={key}={value}" for key, value in values.items()]
    for file in (MADE, PROVENANCE):  # of an image before: it must not be signed for this one
        file.unlink(missing_ok=True)
    _run(tool, "build", *BUILD[tool], *options, f"--label=mlops.gate={gate}", f"--tag={name}", ".")
    if repository:
        name = f"{repository}@{_push(tool, name)}"
    MADE.parent.mkdir(exist_ok=True)
    text = json.dumps(provenance(number, model, run), indent=1)
    PROVENANCE.write_text(text + "\n", encoding="utf-8")
    MADE.write_text(name + "\n", encoding="utf-8")
    return name


def build_job(name: str) -> str:
    """Build the image that jobs run in, from uv.lock, push it, and return its name with the digest.

    Args:
        name: the whole reference, such as ghcr.io/team/name-job:1.
    """
    if not name:
        raise MlopsError("cloud.job_image is empty in the environment's file: name the image.")
    tool = builder()
    _run(tool, "build", *BUILD[tool], "--file=Dockerfile.job", f"--tag={name}", ".")
    return f"{name.rpartition(':')[0]}@{_push(tool, name)}"


def sign(key: str) -> str:
    """Sign the image that was pushed, and attest its SBOM and its provenance; say what was done.

    Args:
        key: of cosign: its text, a file or a KMS's URI; empty signs with the job's own identity.

    Raises:
        MlopsError: there is nothing to sign or to sign with; nothing is signed then.
    """
    if not MADE.is_file():
        raise MlopsError(f"There is nothing to sign: {MADE} is missing. Run `make image` first.")
    name = MADE.read_text(encoding="utf-8").strip()
    if not DIGEST.search(name):
        return f"{name} is on this machine only (IMAGE is not set): nothing is signed."
    for path, target in {SBOM: "sbom", PROVENANCE: "image"}.items():
        if not path.is_file():
            raise MlopsError(f"{path} is missing, and is attested: run `make {target}` first.")
    if not shutil.which("cosign"):
        raise MlopsError(
            "cosign is not installed, which signs images: install it from sigstore.dev."
        )
    if not key and os.environ.get("TF_BUILD"):
        raise MlopsError("Azure Pipelines has no identity that Sigstore knows: set COSIGN_KEY.")
    options = ["--yes"]
    if key:  # its text stays in the variable: an argument would show it to every process
        options.append(f"--key={'env://COSIGN_KEY' if 'PRIVATE KEY' in key else key}")
    _run("cosign", "sign", *options, name)
    for kind, path in {"cyclonedx": SBOM, "slsaprovenance1": PROVENANCE}.items():
        _run("cosign", "attest", *options, f"--type={kind}", f"--predicate={path}", name)
    return f"{name} is signed, with its SBOM and its provenance."


def builder() -> str:
    """Return the first tool here that builds images; one whose engine is not there does not."""
    for tool in BUILD:
        if (
            shutil.which(tool)
            and not subprocess.run([tool, "info"], capture_output=True).returncode
        ):
            return tool
    raise MlopsError(f"No image can be built here: none of {', '.join(BUILD)} is there and runs.")


def provenance(number: int, model: Path, run: str) -> dict[str, Any]:
    """Return what the image is made from, by whom: a predicate of SLSA provenance v1."""
    state, place = git_state(), urlsplit(run)
    # A clone's address may hold a token.
    repository = re.sub(r"//[^/@]*@", "//", state.repository or project.NAME)
    files = [*(path for path in LOCKS if path.is_file()), model / SERVED]
    return {
        "buildDefinition": {
            "buildType": "https://docs.docker.com/reference/dockerfile/",
            "externalParameters": {"dockerfile": "Dockerfile", "version": number},
            "resolvedDependencies": [
                {"uri": f"git+{repository}@{state.commit}", "digest": {"gitCommit": state.commit}},
                *({"name": path.as_posix(), "digest": {"sha256": sha256(path)}} for path in files),
            ],
        },
        "runDetails": {
            "builder": {"id": f"{place.scheme}://{place.netloc}" if run else "urn:local"},
            "metadata": {"invocationId": run, "finishedOn": now().replace("+00:00", "Z")},
        },
    }


def _login(tool: str, name: str) -> None:
    """Log in where the provider keeps images, as whoever runs this; what signs finds it too."""
    if project.PROVIDER not in ("azure", "aws", "gcp"):
        return
    environment, host = environment_name(), name.partition("/")[0]
    cloud = import_module("mlops.cloud").open_cloud(load_settings(), environment)
    if host != cloud.image.partition("/")[0]:  # another registry: whoever pushes has logged in
        return
    user, password = cloud.image_login(host)
    command = [tool, "login", "--username", user, "--password-stdin", host]
    if subprocess.run(command, input=password, text=True, stdout=subprocess.DEVNULL).returncode:
        raise MlopsError(f"{tool} login {host} failed: it says why above.")


def _push(tool: str, name: str) -> str:
    """Push an image; return the digest that the registry knows it by."""
    _login(tool, name)
    if tool == "docker":
        told = _run(tool, "push", name, told=True)  # its last line has the digest
    else:
        file = MADE.with_name("digest.txt")
        file.parent.mkdir(exist_ok=True)
        _run(tool, "push", f"--digestfile={file}", name)
        told = file.read_text(encoding="utf-8")
        file.unlink()
    found = DIGEST.findall(told)
    if not found:
        raise MlopsError(f"{tool} pushed {name}, but did not say its digest: it cannot be signed.")
    return str(found[-1])


def _run(*command: str, told: bool = False) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE if told else None, text=True, check=False)
    if done.returncode:
        raise MlopsError(f"{command[0]} {command[1]} failed: it says why above.")
    return done.stdout or ""
