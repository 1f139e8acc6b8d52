"""What comes in and what goes out, made from the contract.

The same pydantic models decode requests, word the 422s, and are the OpenAPI.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic import Field as Rule
from pydantic_core import SchemaError
from typing_extensions import TypedDict

from ..contract import FLOAT32, Contract, Field
from ..errors import MlopsError

SHOWN = 20  # faults of one answer
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Identifier = Annotated[str, Rule(pattern="^[!-~]{1,128}$")]
Prediction = float | list[float]


class Refusal(Exception):  # noqa: N818 (an answer, not an accident)
    """A request that is not answered with a prediction, and the status that says why."""

    def __init__(self, status: int, detail: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


class Feedback(BaseModel):
    """What really happened after a prediction."""

    model_config = STRICT

    request_id: Identifier = Rule(description="Of the answer that held the prediction")
    version: Identifier = Rule(description="Of the model that gave it", examples=["1"])
    outcome: Annotated[float, Rule(ge=-FLOAT32, le=FLOAT32)] = Rule(examples=[1.0])


class Received(BaseModel):
    """The feedback is taken."""

    request_id: str


class Predictions(BaseModel):
    """A prediction for each record, in their order."""

    predictions: list[Prediction]
    version: str
    request_id: str


class Explanation(BaseModel):
    """Why: ``base`` and all contributions add up to the prediction."""

    prediction: Prediction
    base: Prediction = Rule(description="The prediction where every field is typical")
    contributions: dict[str, Prediction] = Rule(description="Of each field (Shapley values)")
    version: str
    request_id: str


class Ready(BaseModel):
    """The model that answers."""

    version: str
    digest: str = Rule(description="SHA-256 of the model")


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    loc: list[str | int]
    msg: str
    type: str


class Faults(BaseModel):
    """All that is wrong with a request."""

    detail: list[Fault]


class Refused(BaseModel):
    """Why a request is not answered."""

    detail: str


class Schema:
    """The models of requests for one contract.

    Attributes:
        records: ``{"records": [...]}``, of ``max_batch`` at most.
        record: ``{"record": {...}}``.

    Raises:
        MlopsError: a pattern is more than a regular expression.
    """

    def __init__(self, contract: Contract, max_batch: int) -> None:
        self._fields = {field.name: field for field in contract.fields}
        # A typed dictionary takes any field name; an attribute would not.
        typed: Any = TypedDict
        record: Any = typed("Record", {name: _type(field) for name, field in self._fields.items()})
        record.__pydantic_config__ = STRICT | {"json_schema_extra": {"example": contract.example}}
        several = Annotated[list[record], Rule(min_length=1, max_length=max_batch)]
        try:
            self.records = _model("Records", records=several)
            self.record = _model("OneRecord", record=record)
        except SchemaError as error:
            raise MlopsError(
                f"A pattern cannot be served: {str(error).splitlines()[-1]} Write it without "
                "look-around and back-references: they can take a server's time without end."
            ) from error

    def refusal(self, error: ValidationError) -> Refusal:
        """Return the 422 that says of each fault where it is, what was sent, what is allowed."""
        found = error.errors(include_url=False, include_context=False)[:SHOWN]
        return Refusal(422, [self._fault(fault) for fault in found])

    def _fault(self, fault: Any) -> dict[str, Any]:
        loc, message = fault["loc"], fault["msg"]
        name = loc[-1] if loc else ""
        field = self._fields.get(name)
        if fault["type"] == "extra_forbidden":
            hint = ': records go into a list, {"records": [...]}' if field else ""
            message = f"{name!r:.60} is no field here{hint}"
        elif field:
            state = "missing" if fault["type"] == "missing" else f"{fault['input']!r:.60}"
            message = f"{name} is {state}: give {field.allowed}"
        return {"loc": ["body", *loc], "msg": message, "type": fault["type"]}


def _model(name: str, **fields: Any) -> type[BaseModel]:
    rules: dict[str, Any] = {key: (kind, ...) for key, kind in fields.items()}
    return create_model(name, __config__=STRICT, **rules)


def _whole(value: Any) -> Any:
    """Take 3.0 as an integer, as JSON Schema does."""
    return int(value) if type(value) is float and value.is_integer() else value


def _type(field: Field) -> Any:
    """Return the annotation that pydantic validates a field by."""
    kind: Any = str
    if field.choices:
        kind = Literal[tuple(field.choices)]
    elif field.kind == "text":
        kind = Annotated[str, Rule(pattern=field.pattern)]
    else:
        low, high = field.limits
        whole = field.kind == "integer"
        kind = Annotated[int if whole else float, Rule(ge=low, le=high)]
        kind = Annotated[kind, BeforeValidator(_whole)] if whole else kind
    about = Rule(description=field.description, examples=[field.example])
    return Annotated[kind | None if field.nullable else kind, about]
