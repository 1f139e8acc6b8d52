"""Who answers which share of the requests."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Slot = Literal["blue", "green"]


class Traffic(BaseModel):
    """Percentages. The challenger sees ``mirror`` of the requests besides, unheard by callers.

    ``sticky`` sends each caller (header ``x-caller``, else the address) always to the same model.
    """

    model_config = ConfigDict(frozen=True)

    champion: int = Field(default=100, ge=0, le=100)
    challenger: int = Field(default=0, ge=0, le=100)
    mirror: int = Field(default=0, ge=0, le=100)
    sticky: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.champion + self.challenger != 100:
            raise ValueError(f"{self.champion} and {self.challenger} do not add up to 100")
        if self.mirror and self.challenger:
            raise ValueError("a challenger that answers is not mirrored to")
        return self

    def __str__(self) -> str:
        mirrored = f", mirrored {self.mirror} %" if self.mirror else ""
        return f"{self.champion}/{self.challenger}{mirrored}{', sticky' if self.sticky else ''}"


CHAMPION = Traffic()
CHALLENGER = Traffic(champion=0, challenger=100)


class Slots(BaseModel):
    """Which slot is whose. The two change roles when a challenger is promoted."""

    model_config = ConfigDict(frozen=True)

    champion: Slot = "blue"

    @property
    def challenger(self) -> Slot:
        """Return the other slot."""
        return "green" if self.champion == "blue" else "blue"
