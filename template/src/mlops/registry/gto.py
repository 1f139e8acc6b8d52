"""The registry in git itself: GTO's annotated tags. No server, and history is the audit log.

``name@v3.0.0`` is version 3, ``name#champion-dev#4`` the fourth assignment of an alias. The files
are DVC's, at the tagged commit; facts added later are git notes on the tag. A clone brings tags and
no notes, so the notes have a tag too; ``git push --tags --force`` shares it all.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from gto import api
from gto.exceptions import GTOException

from .. import project
from ..errors import MlopsError
from ..lineage import git
from ..settings import Settings
from .base import Registry, Version

NOTES = "refs/notes/registry"
KEPT = "registry-notes"  # the tag of the notes
RECORD = "gates.json"


class GtoRegistry:
    """One artefact, whose versions are tags on the commits that hold it."""

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        """Tag the commit that holds the model; the message carries the facts and the record."""
        number = len(self.list()) + 1
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        message = f"{project.NAME} version {number}\n\n{json.dumps({**facts, 'record': record})}"
        try:
            api.register(
                ".", project.NAME, facts["commit"], version=f"v{number}.0.0", message=message
            )
        except GTOException as error:
            raise MlopsError(
                f"{error} One commit holds one version: commit the new model first."
            ) from error
        return self.list()[-1]

    def get(self, number: int, folder: Path) -> Path:
        """Bring the files back from DVC's cache or remote, the record from the tag."""
        tag = self._tag(number)
        message = self._message(tag)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "dvc", "get", ".", "models/candidate"]
        command += ["--rev", tag, "--out", str(folder), "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MlopsError(f"{tag}: {done.stderr.strip()} Was it pushed: `dvc push --all-tags`?")
        record = json.dumps(message["record"], indent=2)
        (folder / RECORD).write_text(record + "\n", encoding="utf-8")
        return folder

    def list(self) -> list[Version]:
        """Return all versions, oldest first."""
        pattern = f"refs/tags/{project.NAME}@v*"
        tags = git("for-each-ref", "--format=%(refname:short)", pattern).splitlines()
        numbers = sorted(int(tag.rpartition("@v")[2].split(".")[0]) for tag in tags)
        aliases = self._aliases()
        return [self._version(number, aliases) for number in numbers]

    def set_alias(self, alias: str, number: int) -> None:
        """Assign the alias anew; the latest assignment holds."""
        api.assign(
            ".",
            project.NAME,
            alias,
            version=f"v{number}.0.0",
            message=f"{alias} is version {number}",
            simple=False,
            force=True,
        )

    def alias(self, alias: str) -> Version | None:
        """Return the version that the latest assignment names."""
        aliases = self._aliases()
        return self._version(aliases[alias], aliases) if alias in aliases else None

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        """Keep the facts as a git note on the version's tag."""
        merged = json.dumps({**self._notes(number), **tags}, sort_keys=True)
        git("notes", f"--ref={NOTES}", "add", "--force", "--message", merged, self._object(number))
        git("tag", "--force", KEPT, NOTES)

    def _version(self, number: int, aliases: dict[str, int]) -> Version:
        tag = self._tag(number)
        facts = self._message(tag)
        facts.pop("record", None)
        return Version(
            number=number,
            digest=facts.get("digest", ""),
            commit=git("rev-parse", f"{tag}^{{commit}}"),
            created=git("for-each-ref", "--format=%(creatordate:iso-strict)", f"refs/tags/{tag}"),
            aliases=sorted(name for name, to in aliases.items() if to == number),
            tags={key: str(value) for key, value in {**facts, **self._notes(number)}.items()},
        )

    def _aliases(self) -> dict[str, int]:
        """Return the version of each alias: that of the assignment with the highest counter."""
        pattern = f"refs/tags/{project.NAME}#*"
        form = "--format=%(refname:short) %(*objectname)"
        latest: dict[str, tuple[int, str]] = {}
        for line in git("for-each-ref", form, pattern).splitlines():
            tag, commit = line.split()
            _, alias, counter = tag.split("#")
            latest[alias] = max(latest.get(alias, (0, "")), (int(counter), commit))
        versions = git("for-each-ref", form, f"refs/tags/{project.NAME}@v*").splitlines()
        numbers = {
            line.split()[1]: int(line.split()[0].rpartition("@v")[2].split(".")[0])
            for line in versions
        }
        return {alias: numbers[commit] for alias, (_, commit) in latest.items()}

    def _notes(self, number: int) -> dict[str, str]:
        try:
            notes = git("notes", f"--ref={NOTES}", "show", self._object(number))
        except MlopsError:
            return {}
        found: dict[str, str] = json.loads(notes)
        return found

    @staticmethod
    def _tag(number: int) -> str:
        return f"{project.NAME}@v{number}.0.0"

    def _object(self, number: int) -> str:
        return git("rev-parse", f"refs/tags/{self._tag(number)}")

    def _message(self, tag: str) -> dict[str, Any]:
        body = git("for-each-ref", "--format=%(contents:body)", f"refs/tags/{tag}")
        if not body:
            raise MlopsError(f"There is no {tag}: see `mlops model list`, or `git fetch --tags`.")
        found: dict[str, Any] = json.loads(body)
        return found


def open_registry(settings: Settings) -> Registry:
    """Return the registry of this repository; the environment makes no difference to it."""
    if git("tag", "--list", KEPT) and not git("for-each-ref", NOTES):
        git("update-ref", NOTES, f"refs/tags/{KEPT}")
    return GtoRegistry()
