"""The floor: FastAPI, a body typed with pydantic from the contract, and a constant answer."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from mlops.contract import Contract, Field
from pydantic import BaseModel, ConfigDict, StringConstraints, create_model
from pydantic import Field as Limits


def kind(field: Field) -> Any:
    """Return the type of a field, with its limits."""
    if field.choices:
        found: Any = Literal[tuple(field.choices)]
    elif field.kind == "text":
        found = Annotated[str, StringConstraints(pattern=field.pattern)]
    else:
        number = int if field.kind == "integer" else float
        found = Annotated[number, Limits(ge=field.minimum, le=field.maximum)]
    return found | None if field.nullable else found


contract = Contract.read(Path(os.environ["BENCH_MODEL"]).parent)
config = ConfigDict(extra="forbid")
fields: dict[str, Any] = {f.name: (kind(f), ...) for f in contract.fields}
Record = create_model("Record", __config__=config, **fields)


class Body(BaseModel):
    """What is posted."""

    records: list[Record]


class Answer(BaseModel):
    """What comes back."""

    predictions: list[float]
    version: int


app = FastAPI()


@app.post("/predict")
async def predict(body: Body) -> Answer:
    """Answer the same to all."""
    return Answer(predictions=[0.5], version=1)
