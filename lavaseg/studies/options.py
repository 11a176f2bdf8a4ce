"""Options of the measures, as a study's file gives them, with their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lavaseg.encoders import EncoderError, PictureEncoder
from lavaseg.errors import LavasegError
from lavaseg.models.analog import ANALOG, RECTIFIED
from lavaseg.recipes import Recipe
from lavaseg.studies.study import label_of
from lavaseg.system.words import or_like


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Each is measured once, under a label of its own."""
    if len({label_of(value) for value in values}) < len(values):
        raise ValueError("expected different ones")
    return values


Several = Annotated[tuple[Annotated[float, Field(ge=0)], ...], AfterValidator(_different)]
Steps = Annotated[tuple[Annotated[int, Field(ge=1)], ...], AfterValidator(_different)]


class Options(BaseModel):
    """No options; the base of all others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def labels(self) -> Mapping[str, Sequence[Any]]:
        """What is measured under each condition, as far as the options say."""
        return {}

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything runs, a recipe whose runs cannot be measured so.

        Raises:
            LavasegError: says why.
        """


class IntegersOptions(Options):
    """Of the measure `integers`.

    Args:
        finetune: fine-tune after rounding, as the recipe says.
        verify: test samples that torch, the simulator and both Lava runtimes compare.
    """

    finetune: bool = True
    verify: int = Field(0, ge=0)


class ClassesOptions(Options):
    """Of the measure `classes`.

    Args:
        on: the float network, or the exported one.
    """

    on: Literal["floats", "integers"] = "floats"


class NoiseOptions(Options):
    """Of the measure `noise`.

    Args:
        kind: gaussian: on pixels or event frames; salt-pepper: pixels go black or white;
            drop-events: events of a recording are lost.
        sigma: amounts of Gaussian noise, 1 being the whole range of a pixel.
        share: amounts of the other kinds: of pixels, or of events.
        on: the float network, or the exported one.
        seed: of the noise.
        limit: at most this many test samples, the first ones.
    """

    kind: Literal["gaussian", "salt-pepper", "drop-events"] = "gaussian"
    sigma: Several = ()
    share: Several = ()
    on: Literal["floats", "integers"] = "floats"
    seed: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _has_amounts(self) -> NoiseOptions:
        name, other = ("sigma", self.share) if self.kind == "gaussian" else ("share", self.sigma)
        if not self.amounts or other:
            raise ValueError(f"expected a list of amounts as option {name!r} alone")
        return self

    def labels(self) -> Mapping[str, Sequence[Any]]:
        return {self.condition: self.amounts}

    def check(self, recipe: Recipe) -> None:
        if self.kind == "drop-events" and isinstance(recipe.encoder_object, PictureEncoder):
            raise EncoderError("pictures have no events that drop-events could drop")

    @property
    def amounts(self) -> Several:
        """The amounts of noise."""
        return self.sigma if self.kind == "gaussian" else self.share

    @property
    def condition(self) -> str:
        """The column that the amounts stand in: sigma, salt_pepper or drop_events."""
        return "sigma" if self.kind == "gaussian" else self.kind.replace("-", "_")


class StepsOptions(Options):
    """Of the measure `steps`.

    Args:
        steps: numbers of time steps T.
        on: the float network, or the exported one.
        limit: at most this many test samples, the first ones.
    """

    steps: Steps = Field(min_length=1)
    on: Literal["floats", "integers"] = "floats"
    limit: int | None = Field(None, ge=1)

    def labels(self) -> Mapping[str, Sequence[Any]]:
        return {"steps": self.steps}

    def check(self, recipe: Recipe) -> None:
        if recipe.model.name not in ANALOG:  # those have no steps, and nothing is measured
            for count in self.steps:
                recipe.encoder_object.with_steps(count)


class ConversionOptions(Options):
    """Of the measure `conversion`.

    Args:
        rules: names of `lavaseg.export.rules.RULES`; all by default. "integers" is the rule
            `channel` with hard reset, rounded to 8 bits.
        steps: numbers of time steps after which the read-out is looked at.
        encoder: how the pictures are coded for the spiking network.
        pictures: test pictures, the first ones.
        calibration: training pictures on which thresholds are balanced.
        calibration_steps: time steps of these.
    """

    rules: Annotated[tuple[str, ...], AfterValidator(_different)] = ()
    steps: Steps = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
    encoder: Literal["direct", "poisson"] = "direct"
    pictures: int = Field(200, ge=1)
    calibration: int = Field(32, ge=1)
    calibration_steps: int = Field(64, ge=1)

    @model_validator(mode="after")
    def _known(self) -> ConversionOptions:
        _check_rules(self.rules, _rules())
        return self

    def labels(self) -> Mapping[str, Sequence[Any]]:
        return {"rule": self.rules or _rules(), "steps": self.steps}


def _rules() -> tuple[str, ...]:
    from lavaseg.export.rules import RULES

    return (*RULES, "integers")


def _check_rules(given: Iterable[str], known: Sequence[str]) -> None:
    """ValueError for the first of some rules that is not known."""
    for rule in given:
        if rule not in known:
            raise ValueError(f"there is no rule {rule!r}{or_like(rule, known)}")


class HybridOptions(Options):
    """Of the measure `hybrid`.

    Args:
        steps: numbers of time steps T to convert to.
        rule: how thresholds are balanced.
        calibration: training pictures on which they are.
        epochs: of fine-tuning with rounded weights.
        learning_rate: of fine-tuning.
    """

    steps: Steps = (4, 8)
    rule: str = "channel"
    calibration: int = Field(32, ge=1)
    epochs: int = Field(4, ge=1)
    learning_rate: float = Field(2e-3, gt=0)

    @model_validator(mode="after")
    def _known(self) -> HybridOptions:
        _check_rules([self.rule], _rules()[:-1])  # not that of integers, which it makes anyway
        return self

    def labels(self) -> Mapping[str, Sequence[Any]]:
        return {"steps": self.steps}

    def check(self, recipe: Recipe) -> None:
        if recipe.model.name in ANALOG and recipe.model.name not in RECTIFIED:
            raise LavasegError(
                f"{recipe.model.name} cannot be converted: expected {' or '.join(RECTIFIED)}"
            )


class IsometryOptions(Options):
    """Of the measure `isometry`.

    Args:
        weights: those that training begins with, its best ones, or both.
        samples: training samples, the first ones, whose batch gives the norms' statistics.
        probes: random vectors for each block.
        seed: of the probes.
        blocks: give what was measured of each block, too, not of stages and of all blocks alone.
    """

    weights: Annotated[tuple[Literal["initial", "trained"], ...], AfterValidator(_different)] = (
        Field(("initial", "trained"), min_length=1)
    )
    samples: int = Field(4, ge=1)
    probes: int = Field(4, ge=3)
    seed: int = Field(0, ge=0)
    blocks: bool = True

    def labels(self) -> Mapping[str, Sequence[Any]]:
        return {"weights": self.weights}

    def check(self, recipe: Recipe) -> None:
        if recipe.model.name in ANALOG:
            raise LavasegError(
                f"{recipe.model.name} is an artificial network; the Jacobians of spiking residual "
                "blocks are measured"
            )
