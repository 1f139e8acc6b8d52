"""What runs on the job's machine: ``python -m mlops.jobs.inside FOLDER``, a folder of the store.

The command runs in a clone of its commit, with the packages of the image.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ..cloud import open_store
from ..cloud.base import Store
from ..errors import MlopsError
from ..lineage import git
from ..settings import Settings, environment_name, load_settings
from . import parcel


def main(folder: str) -> int:
    """Run what a folder of the store asks for; leave results and exit code there, return it."""
    # No file says where the store is: the image's own environments may be of another commit.
    cloud = {
        name.removeprefix(parcel.CLOUD).lower(): json.loads(value)
        for name, value in os.environ.items()
        if name.startswith(parcel.CLOUD)
    }
    store = open_store(Settings(cloud=cloud), environment_name())
    try:
        code = _work(store, folder)
    except MlopsError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        code = error.exit_code
    store.write(f"{folder}/{parcel.EXIT}", str(code).encode())
    return code


def _work(store: Store, folder: str) -> int:
    request = parcel.Request.model_validate_json(_read(store, f"{folder}/{parcel.REQUEST}"))
    os.environ |= request.variables
    with TemporaryDirectory() as scratch:
        bundle, root = Path(scratch, parcel.CODE), Path(scratch, "code")
        store.download(f"{folder}/{parcel.CODE}", bundle)
        _clone(bundle, request, root)
        parcel.unpack(_read(store, f"{folder}/{parcel.SENT}"), root)
        os.chdir(root)
        try:
            _ready()
            # It keeps nothing, as a CI platform's machine: DVC brings what others have made.
            variables = {"CI": "true", "PYTHONPATH": f"{root}/src", "PATH": _path()}
            environment = os.environ | variables
            command = [sys.executable, "-m", "mlops", *request.command]
            code = subprocess.run(command, env=environment, check=False).returncode
            push = [sys.executable, "-m", "dvc", "push", "--run-cache"]
            pushed = subprocess.run(push, env=environment, check=False).returncode
            store.write(f"{folder}/{parcel.MADE}", parcel.pack())
        finally:
            os.chdir("/")  # a folder is not removed from under a process
    return code or pushed


def _read(store: Store, name: str) -> bytes:
    found = store.read(name)
    if found is None:
        raise MlopsError(f"{name} is not in the store: the job was removed meanwhile.")
    return found[0]


def _clone(bundle: Path, request: parcel.Request, root: Path) -> None:
    """Make the repository as it is where the command was given: lineage reads it."""
    git("init", "--quiet", "--template=", str(root))
    git("fetch", "--quiet", str(bundle), "HEAD", "refs/tags/*:refs/tags/*", root=root)
    branch = ["-B", request.branch] if request.branch else ["--detach"]
    git("checkout", "--quiet", *branch, request.commit, root=root)
    if request.repository:
        git("remote", "add", "origin", request.repository, root=root)


def _ready() -> None:
    """Refuse what could only fail later, or be lost."""
    image = Path(sys.prefix).parent / "uv.lock"
    if not image.is_file() or image.read_bytes() != Path("uv.lock").read_bytes():
        raise MlopsError(
            "uv.lock is not the one that cloud.job_image was made from: run `make image-job`."
        )
    for name, place in parcel.places(load_settings().tracking_uri):
        if not place.exists():
            raise MlopsError(f"{name}: there is no {place} on the job's machine: name a server.")


def _path() -> str:
    """Return PATH with this Python first: DVC's stages call it by name."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


if __name__ == "__main__":
    # As the first process of a container it would not hear it otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1]))
