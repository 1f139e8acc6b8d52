"""The provider's names. What its adapters do is proven where the template is made."""

from typing import Any

import pytest

from mlops import project
from mlops.cloud import open_cloud
from mlops.errors import MlopsError
from mlops.settings import load_settings

PLACES = [name for name in project.ENVIRONMENTS if load_settings(name).cloud]


def named(environment: str, **names: Any) -> Any:
    settings = load_settings(environment)
    cloud = {key: value for key, value in (settings.cloud | names).items() if value is not None}
    return open_cloud(settings.model_copy(update={"cloud": cloud}), environment)


@pytest.mark.parametrize("environment", PLACES)
def test_an_environment_has_its_own_place(environment: str) -> None:
    assert named(environment).image
    assert f"{project.NAME}-{environment}" in str(load_settings(environment).cloud)


@pytest.mark.parametrize("environment", PLACES)
def test_a_name_that_is_wrong_is_refused_by_key_and_file(environment: str) -> None:
    where = rf"environments/{environment}\.yaml: cloud\."
    with pytest.raises(MlopsError, match=rf"{where}moon: Extra inputs"):
        named(environment, moon=1)
    with pytest.raises(MlopsError, match=rf"{where}instances: Input should be"):
        named(environment, instances=0)
