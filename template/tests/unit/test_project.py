import pytest

from mlops import project


def test_binds_the_teams_modules_by_name() -> None:
    assert project.__getattr__("schema").__name__ == f"{project.PACKAGE}.schema"


def test_a_typo_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'modell'"):
        _ = project.modell
