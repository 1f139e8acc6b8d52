"""What a regulated environment asks beside the gates: a validator's word, and signed controls."""

from datetime import date
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from ..errors import GateError, MlopsError
from ..lineage import git
from ..registry import Version
from ..settings import Strict

REGISTER = Path("docs/team/controls.yaml")
TAG = "tag.compliance"


class Control(Strict):
    """One control: what it is about, and who has signed it when."""

    control: str
    about: str
    signed_by: str
    date: date | str


def refuse(version: Version) -> None:
    """Refuse a version that nobody but its author has validated, or while a control is unsigned.

    Raises:
        GateError: naming the tag, the author or the controls.
    """
    validator = version.tags.get(f"{TAG}.by")
    if not validator:
        raise GateError(
            f"controls.validator: version {version.number} has no tag compliance: a model "
            f"validator gives it by `mlops model tag {version.number} compliance`."
        )
    if validator.casefold() in authors(version.commit):
        raise GateError(
            f"controls.validator: {validator} wrote version {version.number}: "
            "somebody else must validate it."
        )
    unsigned = [one.control for one in read() if not (one.signed_by and one.date)]
    if unsigned:
        raise GateError(f"controls.signed: {REGISTER} lacks signatures: {', '.join(unsigned)}.")


def authors(commit: str) -> set[str]:
    """Return the names by which a commit's author is known: address, account, name."""
    address, name = git("log", "-1", "--format=%ae%n%an", commit).splitlines()
    return {word.casefold() for word in (address, address.partition("@")[0], name)}


def read(path: Path = REGISTER) -> list[Control]:
    """Read the register of controls; raise :class:`MlopsError` if it is missing or malformed."""
    if not path.is_file():
        raise MlopsError(f"{path} is missing: a regulated environment needs it.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(list[Control]).validate_python(content)
    except (yaml.YAMLError, ValidationError) as error:
        raise MlopsError(f"{path}: {error}") from error
