"""Sections of a recipe that say how a network is trained: optimisation and what belongs to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lavaseg.network.nodes import LONGEST_DELAY
from lavaseg.recipes.section import Section


class Surrogate(Section):
    """Derivative of the spike with respect to the membrane, used in the backward pass.

    Integer neurons (a model's option `levels`) have one at each of their thresholds,
    (k + 1/2) theta in place of theta below, and these add up: a rectangle of width 1 and height 1
    is the straight-through gradient 1 / theta on 0 .. levels theta (Luo et al. 2024, SpikeYOLO);
    a triangle of width 1 and height 1 falls off over one theta at both ends of it.
    """

    kind: Literal["slayer", "triangle", "rectangle"] = "triangle"
    """Its shape around the threshold theta. slayer: SLAYER's own exponential,
    height / (2 tau) * exp(-|v - theta| / tau) with tau = width * theta; triangle:
    height / theta * max(0, 1 - |v - theta| / (width * theta)), width 1 and height 0.3 in Kim et al.
    2022's code, height 1 in their paper; rectangle: height / theta on
    |v - theta| <= width / 2 * theta, where MFS-Seg's 1 on |v - 0.5| <= 0.5 is width 2, height
    0.5."""
    width: float = Field(1.0, gt=0)
    """How wide it is around the threshold, in thresholds, as `kind` says."""
    height: float = Field(1.0, gt=0)
    """Factor on the derivative, as `kind` says."""
    reset: Literal["ignore", "gate"] = "ignore"
    """ignore: the gradient flows through time as if no reset happened (SLAYER's backward);
    gate: a reset stops it (reset factor detached, as in MS-ResNet and MFS-Seg). Integer neurons
    keep nothing, so that both are the same."""


class Rmp(Section):
    """RMP regularisation: draws membranes to where quantised hardware can hold them.

    Loss = mean of (v - target)^2, over the neurons of a layer and then as `mean` says, added to
    cross-entropy with a weight that follows `schedule` over training (Guo et al. 2023; Yadolahi &
    Abolmaali 2025).
    """

    weight: float = Field(0.0, ge=0)
    """Largest weight; 0 switches it off. Guo et al.: 0.1."""
    time: Literal["all", "last"] = "all"
    """Membranes of all steps, or of the last step only (Yadolahi & Abolmaali 2025 'enhanced')."""
    target: Literal["spike", "nearest", "centred", "steady_state"] = "spike"
    """spike: 0 or theta, by whether it fired; nearest: the nearer of 0 and theta; centred: 0 or
    2 theta by whether it fired, so that theta is the midpoint; steady_state: the neuron's own mean
    over T, which is equation 1 of Yadolahi & Abolmaali 2025 taken literally, their text speaks of
    0 and 1. With it the loss is a variance over time, and that of a single step is 0. Of integer
    neurons spike, nearest and centred are one: theta times the number that is sent."""
    membrane: Literal["pre_reset", "post_reset"] = "pre_reset"
    """Which membrane is drawn to its target: the one that is held against the threshold, or what
    its reset leaves. post_reset is refused where there are integer neurons, which keep nothing."""
    schedule: Literal["triangle", "ramp", "cosine", "constant"] = "triangle"
    """The weight over training. triangle: rises to half-time and falls back (Guo et al. 2023);
    ramp: rises to the end; cosine: falls from the start to nothing."""
    layers: Literal["all", "inner"] = "all"
    """inner leaves out the first and the last spiking population."""
    mean: Literal["layers", "neurons"] = "layers"
    """layers: each layer counts alike (Guo et al. 2023); neurons: each neuron does, the 1/M of
    equation 1 of Yadolahi & Abolmaali 2025, so that large sheets prevail."""

    @model_validator(mode="after")
    def _some_variance(self) -> Rmp:
        if self.target == "steady_state" and self.time == "last":
            raise ValueError(
                "target steady_state with time last is 0 whatever the membranes are, since one "
                "step has no variance over time: expected time all, or another target"
            )
        return self


class Augment(Section):
    """Random changes of training pictures and their labels; none unless set.

    Drawn anew for each sample and epoch, from seed, epoch and sample number alone.
    """

    flip: bool = False
    """Mirror left and right, half of the time."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Zoom by a factor between these two (log-uniform), then cut to the old size at a random
    place. Beyond the border of a picture made smaller: black, and the ignore index."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Multiply by a factor up to this far from 1."""
    contrast: float = Field(0.0, ge=0, le=1)
    """Multiply differences from the mean grey by a factor up to this far from 1."""
    saturation: float = Field(0.0, ge=0, le=1)
    """Multiply differences from each pixel's grey by a factor up to this far from 1."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Turn the hue by up to this part of the colour circle."""

    @field_validator("scale")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0.1 <= value[0] <= value[1] <= 10:
            raise ValueError("expected two factors between 0.1 and 10, the smaller one first")
        return value

    @property
    def colourful(self) -> bool:
        """Whether colours change."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))


class Training(Section):
    """Optimisation of the float network."""

    epochs: int = Field(ge=1)
    """Passes over the training samples."""
    batch_size: int = Field(16, ge=1)
    """Samples of one batch, shared among the devices where there are several; of one step of the
    optimiser, unless `accumulate` says otherwise."""
    accumulate: int = Field(1, ge=1)
    """Batches of one step of the optimiser, one after the other in the memory of one. Without batch
    norm, 4 batches of 4 are one of 16; batch norm takes its statistics of each batch alone."""
    early_stop: int = Field(0, ge=0)
    """Stop after so many epochs without a better validation mIoU; 0: never. Schedules are those of
    all `epochs`."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers in which synapses multiply while training: the others are half as large and are
    rounded (float16 needs a GPU). Weights, neurons, norms and losses are float32, and so are
    evaluation and export."""
    learning_rate: float = Field(3e-3, gt=0)
    """The largest that `schedule` reaches."""
    optimiser: Literal["adam", "amsgrad", "sgd"] = "adam"
    """amsgrad: Adam with the largest second moment so far (Kim et al.'s code); sgd: with
    momentum 0.9."""
    weight_decay: float = Field(0.0, ge=0)
    """Factor of the weights that is added to their gradients (L2)."""
    schedule: Literal["one_cycle", "step", "cosine", "constant"] = "one_cycle"
    """The learning rate over training. step: falls at `milestones`; one_cycle: warms up, then falls
    to nothing; cosine: falls to nothing from the start."""
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.8)
    """Parts of training after which `step` multiplies the learning rate by `decay`; by default
    those of Kim et al.'s code (their paper: 0.5 alone)."""
    decay: float = Field(0.1, gt=0, le=1)
    """Factor on the learning rate at each of the `milestones`."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Part of each pixel's target that is spread evenly over all classes."""
    gradient_clip: float = Field(0.0, ge=0)
    """Largest norm of a step's gradients, to which longer ones are shortened; 0: any."""
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    """Part of the training data that selects the model, where the data set has no such split."""
    train_on_all: bool = False
    """Train on every sample outside of the test part, the validation part included. Nothing is held
    out, so nothing selects the model: the last epoch is kept. As always, what does not fill the
    last batch of an epoch waits for another one."""
    class_weights: (
        Literal["none", "median_frequency", "root_median_frequency"]
        | Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=2)]
    ) = "none"
    """Weight of each class in the loss. median_frequency: the median frequency of a class over
    this class's, counted in the pictures that show it (Eigen and Fergus 2015, SegNet);
    root_median_frequency: its square root, which exaggerates rare classes less."""
    auxiliary_weight: float = Field(1.0, ge=0)
    """Weight of the loss of each auxiliary read-out, for models that have them: mfs_seg and
    spike_brgnet, of whose boundary it is that of where classes meet."""
    membrane_histograms: bool = False
    """Keep histograms of the membranes of a few validation samples after each epoch, in a small
    file, for `lavaseg plot membrane-epochs`; of training samples, where none are held out. Changes
    nothing of what is learned."""
    max_delay: int = Field(0, ge=0, le=LONGEST_DELAY)
    """The most steps by which the spikes of a channel may be late where neurons send through
    weights: training learns each channel's delay, as SLAYER's axons do. 0: no delays."""
    delay_learning_rate: float = Field(0.1, gt=0)
    """Learning rate of these delays, in steps of time; it follows `schedule`."""
    surrogate: Surrogate = Surrogate()
    """Derivative of the spike, for the backward pass."""
    initial_weights: Literal["kaiming_normal", "xavier_uniform"] = "kaiming_normal"
    """How synaptic weights are drawn. kaiming_normal: variance 2 / fan in; xavier_uniform: variance
    2 / (fan in + fan out), times `initial_gain` squared."""
    initial_gain: float = Field(1.0, gt=0)
    """Factor on the weights of xavier_uniform; Kim et al.'s code: 2."""

    @model_validator(mode="after")
    def _judged(self) -> Training:
        if self.early_stop and self.train_on_all:
            raise ValueError(
                f"training.early_stop is {self.early_stop}, but with training.train_on_all nothing "
                "is validated: expected early_stop 0"
            )
        return self


class Finetune(Section):
    """Quantisation-aware fine-tuning of the folded network, at export."""

    epochs: int = Field(2, ge=0)
    """Passes over the training samples; 0 rounds the weights and leaves it at that."""
    learning_rate: float = Field(3e-4, gt=0)
    """The largest of its learning rates, which fall to nothing."""
