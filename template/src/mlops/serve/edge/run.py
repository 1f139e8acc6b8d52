"""Runs a bundle: ``python run.py BUNDLE edge.pub < records.jsonl > predictions.jsonl``.

It stands alone. Nothing of a bundle is used before its signature and every file are checked; what
was checked is what is run, as the bundle is read once.
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


class BundleError(Exception):
    """A bundle is not what was signed; the message begins with the name of the file."""


def read(bundle: Path, key: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return a bundle's manifest and files.

    Args:
        bundle: the zip.
        key: Ed25519 public key, 32 bytes.

    Raises:
        BundleError: it is no bundle, is signed with another key, or was edited.
    """
    try:
        with zipfile.ZipFile(bundle) as file:
            files = {name: file.read(name) for name in file.namelist()}
        signed, signature = files.pop(MANIFEST), files.pop(SIGNATURE)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{bundle}: no bundle, or a damaged one ({error})") from error
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        raise BundleError(f"{MANIFEST}: edited, or signed with another key") from None
    manifest = json.loads(signed)
    for name in sorted(manifest["files"].keys() | files.keys()):
        if name not in files:
            raise BundleError(f"{name}: missing")
        if hashlib.sha256(files[name]).hexdigest() != manifest["files"].get(name):
            raise BundleError(f"{name}: edited, or added")
    return manifest, files


def load(name: str, source: bytes) -> dict[str, Any]:
    """Return the names that a checked module defines."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile(source, name, "exec"), names)  # noqa: S102 (its hash is signed)
    return names


def main() -> None:
    """Answer for each line of stdin with one of stdout."""
    try:
        bundle, key = sys.argv[1:]
    except ValueError:
        sys.exit("python run.py BUNDLE edge.pub < records.jsonl > predictions.jsonl")
    try:
        manifest, files = read(Path(bundle), bytes.fromhex(Path(key).read_text(encoding="utf-8")))
    except (BundleError, OSError, ValueError) as error:
        sys.exit(f"Refused: {error}")
    scorer = load("scorer.py", files["scorer.py"])["Scorer"](files["model.onnx"])
    answers = load("score.py", files["score.py"])["answers"]
    contract = json.loads(files["contract.json"])
    for answer in answers(sys.stdin, contract, scorer.predict, manifest["version"]):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
