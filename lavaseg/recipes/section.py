"""A section of a recipe: known fields alone, which do not change, and numbers that are numbers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """Fields of a recipe that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Words such as yes are true, which Python would take for the number 1."""
        field = cls.model_fields[info.field_name or ""]
        several = isinstance(value, (list, tuple))
        wrong = several or field.annotation in (int, float)
        if wrong and any(isinstance(item, bool) for item in (value if several else [value])):
            raise ValueError("expected numbers" if several else "expected a number")
        return value
