"""Process models that the double runs on its chip, and the arithmetic that stands for each."""

from __future__ import annotations

from typing import Any, ClassVar

from lava.magma.core.model.model import AbstractProcessModel
from lava.magma.core.model.py.type import LavaPyType


class OnChip(AbstractProcessModel):
    """A model that is no Python model to Lava, though one does its arithmetic.

    Attributes:
        arithmetic: the Python model; its ports and variables are declared here, too, since Lava's
            compiler looks for them.
    """

    arithmetic: ClassVar[type]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        model = cls.__dict__.get("arithmetic")
        for name in dir(model):
            if isinstance(member := getattr(model, name), LavaPyType):
                setattr(cls, name, member)
