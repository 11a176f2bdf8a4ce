"""Options `--noise` and `--steps` of `lavaseg evaluate`, and what its output says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.console import say
from lavaseg.encoders import Encoder, Noise
from lavaseg.errors import LavasegError
from lavaseg.network.steps import RULE
from lavaseg.system.words import counted, percent

if TYPE_CHECKING:
    from lavaseg.results.evaluation import Evaluation
    from lavaseg.runs.artefacts import Artefact

NoiseWord = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="[KIND:]AMOUNT",
        help="Noise on the input: SIGMA of Gaussian noise where pixels reach from 0 to 1, "
        "salt-pepper:SHARE of the pixels, or drop-events:SHARE of a recording's events.",
    ),
]
NoiseSeed = Annotated[
    int, typer.Option("--noise-seed", min=0, help="Seed of the noise, with each sample's number.")
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        help="Another T. Norms and clocks of single steps: the first ones, then "
        "the last one repeated.",
        show_default="as trained",
    ),
]


@dataclass(frozen=True)
class Conditions:
    """What a network is evaluated with that it was not trained with.

    Args:
        noise: on the input, or None.
        steps: T, or None for the trained one.
    """

    noise: Noise | None = None
    steps: int | None = None

    @classmethod
    def of(cls, noise: str | None, seed: int, steps: int | None) -> Conditions:
        """The conditions that the options ask for; LavasegError where they ask for none."""
        return cls(None if noise is None else Noise.parse(noise, seed), steps)

    def facts(
        self, encoder: Encoder, result: Evaluation, clean: Evaluation | None
    ) -> dict[str, Any]:
        """What JSON says besides the evaluation.

        Args:
            encoder: that of the network as trained.
            clean: the same evaluation without noise, where it is known.
        """
        found: dict[str, Any] = {}
        if self.noise is not None:
            found["noise_in_words"] = encoder.noise_in_words(self.noise)
            found["clean_miou"] = None if clean is None else clean.miou
            found["drop"] = None if clean is None else result.drop_from(clean)
        if result.steps != encoder.steps:
            found["trained_steps"] = encoder.steps
            found["steps_rule"] = RULE
            found["slices"] = encoder.other_slices(result.steps) or None
        return found

    def show(self, encoder: Encoder, result: Evaluation, clean: Evaluation | None) -> None:
        """Say how the evaluation differs from the usual one; arguments as of `facts`."""
        if result.steps != encoder.steps:
            slices = encoder.other_slices(result.steps)
            say(
                f"evaluated at {counted(result.steps, 'step')}, trained with {encoder.steps}: "
                f"{RULE}{f'; {slices}' if slices else ''}"
            )
        if self.noise is None:
            return
        say(f"noise on the input: {encoder.noise_in_words(self.noise)} (seed {self.noise.seed})")
        if clean is None:
            say(
                "(clean - noisy) / clean mIoU: unknown, since no clean evaluation of the same "
                "samples at the same T is kept; the same command without --noise and --limit, at "
                "the trained T, keeps one"
            )
            return
        say(
            f"(clean - noisy) / clean mIoU: {percent(result.drop_from(clean))} "
            f"(clean mIoU {percent(clean.miou)})"
        )


def check_at(at: str, conditions: Conditions) -> bool:
    """Whether to compare at the size of the label files; LavasegError if that cannot be."""
    if at not in ("network", "labels"):
        raise LavasegError(f"--at {at}: expected network or labels")
    if at == "labels" and (conditions.noise is not None or conditions.steps is not None):
        raise LavasegError("--at labels goes with neither --noise nor --steps: leave them out")
    return at == "labels"


def where(result: Evaluation) -> str:
    """Where predictions and labels were compared, for people."""
    if result.at == "labels":
        return "at the size of the label files"
    return "at the size of the samples"


def kept_clean(kept: Artefact[Evaluation], result: Evaluation) -> Evaluation | None:
    """The clean evaluation that a run's folder keeps, if it is of as many samples and steps."""
    if not kept.current():
        return None
    clean = kept.load()
    same = (clean.samples, clean.steps) == (result.samples, result.steps)
    return clean if same and clean.classes == result.classes else None
