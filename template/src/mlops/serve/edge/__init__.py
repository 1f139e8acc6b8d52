"""One signed file that answers on a device without a network: the model, its contract, a scorer.

``run.py`` and the public key go to the device once, by another way than the bundles: whoever could
replace both a bundle and what checks it would be believed.
"""

import hashlib
import json
import os
import zipfile
from pathlib import Path

from ... import scorer
from ...contract import FILE, Contract
from ...errors import MlopsError
from ...keys import own_key
from ...scorer import SERVED
from ...settings import Settings
from .run import MANIFEST, SIGNATURE

KEY = Path(".secrets/edge.key")
HERE = Path(__file__).parent
REQUIRES = ["numpy>=2", "onnxruntime>=1.23", "cryptography>=45"]


def bundle(model: Path, version: int, target: Path, key: bytes) -> Path:
    """Write the bundle of a model. The same model and key give the same bytes.

    Args:
        model: folder of model.onnx and contract.json.
        version: of the model; it stands in every answer.
        target: the file to write, a zip.
        key: Ed25519 private key, 32 bytes: :func:`signing_key`.

    Returns:
        ``target``.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    contract = Contract.read(model)
    files = {
        path.name: path.read_bytes()
        for path in (
            model / SERVED,
            model / FILE,
            Path(scorer.__file__),
            HERE / "score.py",
            HERE / "README.md",
        )
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    facts = {"name": contract.name, "version": version, "requires": REQUIRES, "files": digests}
    manifest = json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"
    files[MANIFEST] = manifest
    files[SIGNATURE] = Ed25519PrivateKey.from_private_bytes(key).sign(manifest)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    with zipfile.ZipFile(unfinished, "w") as file:
        for name in sorted(files):
            # Neither a time nor zlib's version may change the bytes: no date, stored as they are.
            file.writestr(zipfile.ZipInfo(name), files[name])
    os.replace(unfinished, target)
    return target


def kit(folder: Path, key: bytes) -> Path:
    """Write what a device is given once, apart from the bundles: ``run.py`` and ``edge.pub``."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder.mkdir(parents=True, exist_ok=True)
    public = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    (folder / "edge.pub").write_text(public.hex() + "\n", encoding="utf-8")
    (folder / "run.py").write_bytes((HERE / "run.py").read_bytes())
    return folder


def signing_key(settings: Settings) -> bytes:
    """Return MLOPS_EDGE_KEY (64 hex digits), or this machine's own, made when first needed."""
    if settings.edge_key:
        return _bytes(settings.edge_key.get_secret_value(), "MLOPS_EDGE_KEY")
    return _bytes(own_key(KEY), str(KEY))


def _bytes(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise MlopsError(f"{where} is no Ed25519 key: give 64 hexadecimal digits.")
    return key
