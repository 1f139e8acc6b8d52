from pathlib import Path

import pytest

from mlops.errors import GateError, MlopsError
from mlops.lineage import git
from mlops.registry import Version
from mlops.release import controls

SIGNED = "- {control: security, about: access, signed_by: Ann, date: 2026-01-02}\n"


@pytest.fixture
def version(home: Path) -> Version:
    """A version by "tests", validated by somebody else, under signed controls."""
    controls.REGISTER.write_text(SIGNED)
    commit = git("rev-parse", "HEAD")
    tags = {"tag.compliance": "yes", "tag.compliance.by": "Validator"}
    return Version(number=3, digest="d", created="", commit=commit, tags=tags)


def test_a_validated_version_under_signed_controls_goes_on(version: Version) -> None:
    controls.refuse(version)


@pytest.mark.parametrize("by", ["", "tests", "Tests@Example.com"])
def test_nobody_validates_their_own(version: Version, by: str) -> None:
    version.tags["tag.compliance.by"] = by
    with pytest.raises(GateError, match=r"controls\.validator"):
        controls.refuse(version)


@pytest.mark.parametrize("blank", ["signed_by: Ann", "date: 2026-01-02"])
def test_an_unsigned_control_is_named(version: Version, blank: str) -> None:
    key = blank.partition(":")[0]
    controls.REGISTER.write_text(SIGNED.replace(blank, f'{key}: ""'))
    with pytest.raises(GateError, match="lacks signatures: security"):
        controls.refuse(version)


@pytest.mark.parametrize("content", [None, "- {control: x}\n", "[\n"])
def test_a_register_that_cannot_be_read_is_no_agreement(
    version: Version, content: str | None
) -> None:
    if content is None:
        controls.REGISTER.unlink()
    else:
        controls.REGISTER.write_text(content)
    with pytest.raises(MlopsError, match=r"controls\.yaml"):
        controls.refuse(version)
