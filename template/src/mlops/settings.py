"""Where things are, and what they run with.

``Settings`` come from environments/<environment>.yaml and MLOPS_* variables, ``Params`` from
params.yaml, ``Gates`` from gates.yaml, ``Paths`` from the root folder. All are checked on reading.
"""

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from . import project
from .errors import MlopsError

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid")


class DataParams(Strict):
    """Which periods are used, and how much of each."""

    first: str
    last: str
    sample: float = Field(default=1.0, gt=0, le=1)


class SplitParams(Strict):
    """How many of the newest periods are kept from training."""

    valid: int = Field(default=1, ge=1)
    test: int = Field(default=1, ge=1)


class TrainParams(Strict):
    """How training starts, and why."""

    parent: int = Field(default=0, ge=0)
    hypothesis: str = ""


class TuneParams(Strict):
    """What is searched: ``name: [lowest, highest]`` or ``[lowest, highest, "log"]``."""

    trials: int = Field(default=20, ge=1)
    space: dict[
        str, tuple[int | float, int | float] | tuple[int | float, int | float, Literal["log"]]
    ]


class Params(Strict):
    """params.yaml."""

    seed: int = 42
    data: DataParams
    split: SplitParams = SplitParams()
    train: TrainParams = TrainParams()
    model: dict[str, Any] = {}
    tune: TuneParams | None = None


class Bound(Strict):
    """A metric's limits."""

    min: float | None = None
    max: float | None = None


class DataGates(Strict):
    """Limits of the data validators."""

    min_rows: int = Field(ge=1)
    max_null_share: float = Field(ge=0, le=1)
    skew: float = Field(ge=0, le=1)


class BaselineGate(Strict):
    """How far below the baseline's loss the model's must lie, as a share of it."""

    min_gain: float


class ChampionGate(Strict):
    """By what share the loss may rise, and how many earlier champions are compared."""

    tolerance: float = Field(ge=0)
    released: int = Field(default=0, ge=0)


class SliceGate(Strict):
    """By what share a slice's loss may rise; slices of fewer rows are not judged."""

    min_rows: int = Field(ge=1)
    tolerance: float = Field(ge=0)


class RobustnessGate(Strict):
    """By what share the loss may rise under each disturbance."""

    missing: float
    noise: float
    unseen: float
    extreme: float


class ParityGate(Strict):
    """The largest difference between served and trained form."""

    tolerance: float = Field(gt=0)


class ContractGate(Strict):
    """How many promises to callers of the champion may be broken."""

    breaking: int = Field(default=0, ge=0)


class FootprintGate(Strict):
    """Budgets of the served form, and multiples of the champion's."""

    max_mb: float
    max_memory_mb: float
    max_p99_ms: float
    vs_champion: float = Field(ge=1)
    new_dependencies: int = Field(ge=0)


class Gates(Strict):
    """gates.yaml."""

    data: DataGates
    absolute: dict[str, Bound]
    baseline: BaselineGate
    champion: ChampionGate
    slices: SliceGate
    robustness: RobustnessGate
    parity: ParityGate
    footprint: FootprintGate
    contract: ContractGate = ContractGate()


class Serving(Strict):
    """How a server answers, and where. Secrets are variables: MLOPS_API_KEYS."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    replicas: int = Field(default=2, ge=1)  # processes of each slot
    auth: Literal["off", "api-key", "oidc"] = "off"
    issuer: str = ""  # of OIDC tokens
    audience: str = ""
    max_batch: int = Field(default=1000, ge=1)  # records of one request
    max_body_kb: int = Field(default=1024, ge=1)
    timeout: float = Field(default=10.0, gt=0)  # seconds of one request
    capture: bool = True
    capture_rows: int = Field(default=1_000_000, ge=0)  # kept; the oldest go
    p95_ms: float = Field(default=50.0, gt=0)  # budgets of `mlops bench`
    requests_per_s: float = Field(default=200.0, gt=0)
    figures: float = Field(default=0.0, ge=0)  # seconds between two lines of counts in its log


class Limits(Strict):
    """What a challenger must keep to while it is released."""

    errors: float = Field(default=0.01, ge=0, le=1)  # share of answers that are 5xx
    latency: float = Field(default=2.0, ge=1)  # its p99, as a multiple of the champion's
    latency_ms: float = Field(default=20.0, ge=0)  # a p99 below this is never too slow
    distribution: float = Field(default=0.25, ge=0)  # of its predictions, from the champion's
    significance: float = Field(default=0.05, gt=0, lt=1)  # of the A/B test


class Dataset(Strict):
    """What the catalogue tells of a dataset; DVC has its version, the schema what is personal."""

    about: str = Field(min_length=1)
    owner: str = Field(min_length=1)  # who decides about it
    producer: str = Field(min_length=1)  # what makes it
    consumers: list[str] = Field(min_length=1)
    classification: Literal["public", "internal", "confidential", "restricted"]
    access: str = Field(min_length=1)  # where it is read, and who gives the right to


class Catalogue(RootModel[dict[str, Dataset]]):
    """docs/team/catalogue.yaml: the datasets by their paths."""


CHANGE = Literal["retrained", "algorithm", "comparison"]
STRATEGY = Literal["rolling", "blue-green", "canary", "ab", "shadow"]


class Release(Strict):
    """How a version goes out. Each strategy reads what it needs."""

    strategy: STRATEGY = "canary"
    steps: list[int] = [5, 25, 50]  # canary: percentages; 100 follows
    share: int = Field(default=50, ge=1, le=99)  # ab: the challenger's percentage
    mirror: int = Field(default=100, ge=1, le=100)  # shadow: percentage of requests copied
    hold: float = Field(default=60.0, ge=0)  # seconds that each step lasts at least
    patience: float = Field(default=3600.0, gt=0)  # seconds after which it is given up
    min_samples: int = Field(default=500, ge=1)  # answers on which a check may pass
    rehearsal: float = Field(default=0.0, ge=0)  # requests/s it sends itself: there are no callers
    limits: Limits = Limits()

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: list[int]) -> list[int]:
        if not steps or steps != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] < 100:
            raise ValueError("give rising percentages between 1 and 99, such as [5, 25, 50]")
        return steps


class Training(Strict):
    """Where models are trained and hyperparameters searched, and for how long."""

    where: Literal["runner", "job", "ray"] = "runner"  # runner: where the command is given
    spot: bool = False  # job: on spare capacity, which is cheaper and may be taken away
    timeout: int = Field(default=6 * 3600, ge=1)  # job: seconds, waiting for a machine included

    @field_validator("where")
    @classmethod
    def _made_for(cls, where: str) -> str:
        if where not in ("runner", project.TRAINING):
            raise ValueError(f"this project was made with training {project.TRAINING}")
        return where


class Settings(BaseSettings):
    """What differs between environments; MLOPS_<KEY> and MLOPS_<KEY>__<KEY> win over the file."""

    model_config = SettingsConfigDict(
        env_prefix="MLOPS_", env_nested_delimiter="__", env_ignore_empty=True, extra="forbid"
    )

    tracking_uri: str = "sqlite:///mlflow.db"
    remote: str = "storage"  # of .dvc/config: where `mlops data release` pushes
    protected: bool = True
    approvals: int = Field(default=0, ge=0, le=6)  # people who must agree to a release
    regulated: bool = False  # a validator and every control must agree, beside the gates
    kind: Literal["experimental", "retraining-baseline"] = "experimental"
    reason: Literal["manual", "schedule", "drift", "new-data"] = "manual"
    target: str = "local"  # where the model answers: this machine, or the provider
    cloud: dict[str, Any] = {}  # the provider's names here; src/mlops/cloud/ says which
    image: str = ""
    signing_key: SecretStr | None = None
    api_keys: SecretStr | None = None  # several: separated by commas
    edge_key: SecretStr | None = None  # signs bundles
    mask_key: SecretStr | None = None  # of hashes in the replica of the data
    training: Training = Training()
    serving: Serving = Serving()
    release: Release = Release()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment's variables win over the file, which is handed in first."""
        return env_settings, init_settings


class Paths:
    """Where the pipeline reads and writes; ``root`` is the repository, or a folder like it."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self.raw = root / "data/raw"
        self.validation = root / "data/validation.json"
        self.profile = root / "data/profile.json"
        self.prepared = root / "data/prepared"
        self.model = root / "models/candidate"
        self.parent = root / "models/parent"
        self.reports = root / "reports"
        self.curves = root / "reports/curves.csv"
        self.metrics = root / "reports/metrics.json"
        self.gates = root / "reports/gates.json"
        self.logs = root / "logs"
        # A machine that releases from fresh checkouts keeps these elsewhere.
        self.deployments = root / (os.environ.get("MLOPS_DEPLOYMENTS") or "deployments")


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read params.yaml; raise :class:`MlopsError` naming each key that is wrong."""
    return _read(path, Params)


def edit_params(section: str, values: dict[str, Any], path: Path = Path("params.yaml")) -> None:
    """Write values into a section of params.yaml; comments and order stay."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    content = editor.load(path.read_text(encoding="utf-8"))
    content.setdefault(section, {}).update(values)
    with path.open("w", encoding="utf-8") as file:
        editor.dump(content, file)


def load_gates(path: Path = Path("gates.yaml")) -> Gates:
    """Read gates.yaml; raise :class:`MlopsError` naming each key that is wrong."""
    return _read(path, Gates)


def load_catalogue(path: Path = Path("docs/team/catalogue.yaml")) -> dict[str, Dataset]:
    """Read the catalogue of data; raise :class:`MlopsError` naming each key that is wrong."""
    return _read(path, Catalogue).root


def environment_name() -> str:
    """Return the environment's name: MLOPS_ENV, or dev."""
    return os.environ.get("MLOPS_ENV", "dev")


def in_pipeline() -> bool:
    """Tell whether this runs on a CI platform: most set CI, Azure Pipelines sets TF_BUILD."""
    return bool(os.environ.get("CI") or os.environ.get("TF_BUILD"))


def load_settings(environment: str | None = None) -> Settings:
    """Read environments/<environment>.yaml; MLOPS_<KEY> variables win.

    Raises:
        MlopsError: there is no such environment, or a key is wrong.
    """
    environment = environment or environment_name()
    path = Path("environments") / f"{environment}.yaml"
    if environment not in project.ENVIRONMENTS or not path.is_file():
        known = ", ".join(project.ENVIRONMENTS)
        raise MlopsError(f"There is no environment {environment!r}: MLOPS_ENV takes {known}.")
    return _read(path, Settings)


def _read(path: Path, model: type[Model]) -> Model:
    """Return the file as a ``model``, or raise :class:`MlopsError` naming what is wrong with it."""
    if not path.is_file():
        raise MlopsError(f"{path} is missing: run this in the repository's root.")
    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except yaml.YAMLError as error:
        raise MlopsError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (it is {fault['input']!r})"
            for fault in error.errors()
        )
        raise MlopsError(f"{path}: {faults}") from error
