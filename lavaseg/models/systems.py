"""The systems of the papers as data: each is a model with options, under a name of its own.

Papers compare more systems than there are models: presets, norms, blocks, ablations. Spiking
systems that a paper trains and Loihi cannot run name the one that stands for them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.models import ANALOG, MODELS, build, option_names, refuse_attention
from lavaseg.models.analog import AnalogModel
from lavaseg.network import Input, Network
from lavaseg.system.words import meant

KIM, YADOLAHI, SU, OURS = "Kim et al. 2022", "Yadolahi & Abolmaali 2025", "Su et al. 2024", "ours"
LONG = "Long et al. 2024"


@dataclass(frozen=True)
class System:
    """One system that a paper compares.

    Args:
        key: its name at the command line.
        title: what it is, in a few words.
        paper: who published it.
        place: table or section of the paper, and what is followed where sources disagree.
        model: function of `lavaseg/models/` that describes it.
        options: keyword arguments of that function.
        deployed_as: key of the system that stands for it on Loihi, if it cannot run there itself.
    """

    key: str
    title: str
    paper: str
    place: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    deployed_as: str | None = None

    @property
    def source(self) -> str:
        """The paper, and the place in it."""
        return f"{self.paper}, {self.place}" if self.place else self.paper

    @property
    def spiking(self) -> bool:
        """Whether the system is a network of spiking neurons."""
        return self.model in MODELS

    def all_options(
        self, width: int | None = None, given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The system's options, those that a user gave taking their place.

        Args:
            width: channels of the first layer; None: the system's own.
            given: options of its function.

        Raises:
            LavasegError: `width` and `given` both choose channels.
        """
        given = given or {}
        if width is None:
            return {**self.options, **given}
        chosen = {"width", "base", "channels"} & given.keys()
        if chosen:
            raise LavasegError(
                f"width {width} and option {min(chosen)!r} both choose the channels of "
                f"{self.key!r}: give one of them"
            )
        return {**self.options, **width_options(self.model, width), **given}

    def build(
        self,
        input_: Input,
        classes: int,
        width: int | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Network | AnalogModel:
        """The system's description; arguments as of `all_options`.

        Raises:
            LavasegError: it cannot be built for that input, or has no such option.
        """
        return build(self.model, input_, classes, **self.all_options(width, given))


def width_options(model: str, width: int) -> dict[str, Any]:
    """Options that give a model `width` channels in its first layer, the others in proportion."""
    names = option_names(model)
    for option in ("width", "base"):
        if option in names:
            return {option: width}
    if model == "spiking_resnet":
        return {"channels": [width, 2 * width]}
    raise LavasegError(f"model {model!r} has no option that sets the channels of its first layer")


def find(name: str) -> System:
    """The system of that key, or the model function of that name at its default options.

    Raises:
        LavasegError: there is neither.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    if name in (*MODELS, *ANALOG):
        return System(name, "the model at its defaults", "lavaseg/models", "", name)
    refuse_attention(name)
    models = ", ".join((*MODELS, *ANALOG))
    there_are = f"; the models are {models}, `lavaseg models` lists the systems"
    close = meant(name, (*SYSTEMS, *MODELS, *ANALOG))
    raise LavasegError(f"there is no system or model {name!r}{close or there_are}")


# --------------------------------------------------------------------------------------------
# The registry

_TABLE1 = "Table 1, with the published code where they disagree"
_BNTT = {"preset": "published", "norm": "bntt"}
_ASPP = {"aspp": (1, 6, 12, 18)}
_TEXT = "the text: a three-layer classifier"
_THREE_LAYERS = {"classifier_layers": 3}
_FRAMES = {"frames": 20}
_ABLATION = "ablation of Res54"
_NEURON = {"threshold": 0.5, "voltage_decay": 3072}
"""Su et al.'s neuron: threshold 0.5 and tau = 0.25."""

_ALL = (
    System(
        "spiking-deeplab-published",
        "Spiking-DeepLab with BNTT, average pooling and soft reset",
        KIM,
        _TABLE1,
        "spiking_deeplab",
        _BNTT,
        "spiking-deeplab",
    ),
    System(
        "spiking-deeplab-bntt-shift",
        "Spiking-DeepLab for hardware, a shift for each step (clock axons)",
        KIM,
        _TABLE1,
        "spiking_deeplab",
        {"norm": "bntt_shift"},
    ),
    System(
        "spiking-deeplab", "Spiking-DeepLab for hardware, tdBN", KIM, _TABLE1, "spiking_deeplab"
    ),
    System(
        "spiking-fcn-published",
        "Spiking-FCN with BNTT, average pooling and soft reset",
        KIM,
        "Figure 7 and Table 1, with the published code where they disagree",
        "spiking_fcn",
        _BNTT,
        "spiking-fcn",
    ),
    System(
        "spiking-fcn-table1",
        "Spiking-FCN as published, the classifier 1x1 as printed",
        KIM,
        "Table 1",
        "spiking_fcn",
        {**_BNTT, "classifier_kernel": 1},
        "spiking-fcn-1x1",
    ),
    System(
        "spiking-fcn-bntt-shift",
        "Spiking-FCN for hardware, a shift for each step (clock axons)",
        KIM,
        _TABLE1,
        "spiking_fcn",
        {"norm": "bntt_shift"},
    ),
    System(
        "spiking-deeplab-printed",
        "Spiking-DeepLab with BNTT and the three-layer classifier of the text",
        KIM,
        _TEXT,
        "spiking_deeplab",
        {**_BNTT, **_THREE_LAYERS},
        "spiking-deeplab-three-layers",
    ),
    System(
        "spiking-deeplab-three-layers",
        "Spiking-DeepLab for hardware, tdBN, the three-layer classifier of the text",
        KIM,
        _TEXT,
        "spiking_deeplab",
        _THREE_LAYERS,
    ),
    System("spiking-fcn", "Spiking-FCN for hardware, tdBN", KIM, _TABLE1, "spiking_fcn"),
    System(
        "spiking-fcn-1x1",
        "Spiking-FCN for hardware, tdBN, the classifier 1x1 as printed",
        KIM,
        "Table 1",
        "spiking_fcn",
        {"classifier_kernel": 1},
    ),
    System(
        "ann-deeplab",
        "DeepLab with ReLU",
        KIM,
        "Tables 2 and 3: DeepLab-ANN",
        "ann_deeplab",
        deployed_as="spiking-deeplab",
    ),
    System(
        "ann-fcn",
        "FCN with ReLU",
        KIM,
        "Tables 2 and 3: FCN-ANN; FCN of Su et al. 2024, Table 1",
        "ann_fcn",
        deployed_as="spiking-fcn",
    ),
    System(
        "ann-deeplab-three-layers",
        "DeepLab with ReLU and the three-layer classifier of the text",
        KIM,
        _TEXT,
        "ann_deeplab",
        _THREE_LAYERS,
        "spiking-deeplab-three-layers",
    ),
    System(
        "ann-deeplab-frames",
        "DeepLab with ReLU as in the text, features of 20 frames averaged",
        KIM,
        "Table 3 and the text: DeepLab-ANN on DDD17",
        "ann_deeplab",
        {**_THREE_LAYERS, **_FRAMES},
        "spiking-deeplab-three-layers",
    ),
    System(
        "ann-fcn-1x1",
        "FCN with ReLU, the classifier 1x1 as printed",
        KIM,
        "Table 1",
        "ann_fcn",
        {"classifier_kernel": 1},
        "spiking-fcn-1x1",
    ),
    System(
        "ann-fcn-frames",
        "FCN with ReLU as printed, features of 20 frames averaged",
        KIM,
        "Table 3 and the text: FCN-ANN on DDD17",
        "ann_fcn",
        {"classifier_kernel": 1, **_FRAMES},
        "spiking-fcn-1x1",
    ),
    System(
        "spiking-aspp-published",
        "Spiking-DeepLab with ASPP, else as Kim et al. publish it",
        YADOLAHI,
        "Section 4.3, with the rates of DeepLabv3",
        "spiking_deeplab",
        {**_BNTT, **_ASPP},
        "spiking-aspp",
    ),
    System(
        "spiking-aspp",
        "Spiking-DeepLab with ASPP for hardware, tdBN",
        YADOLAHI,
        "Section 4.3, with the rates of DeepLabv3",
        "spiking_deeplab",
        _ASPP,
    ),
    *(
        System(
            f"mfs-seg-efs-res{18 * n}",
            f"MFS-Seg with EFS blocks, {n} in each stage",
            SU,
            "Table 2" if n == 1 else "Tables 1 and 4",
            "mfs_seg",
            {"n": n},
        )
        for n in (1, 2, 3, 4)
    ),
    *(
        System(
            f"mfs-seg-ms-res{18 * n}",
            f"MFS-Seg with MS blocks, {n} in each stage",
            SU,
            "Table 1",
            "mfs_seg",
            {"n": n, "block": "ms"},
        )
        for n in (3, 4)
    ),
    System(
        "mfs-seg-no-multi-scale",
        "MFS-Seg Res54 with one read-out",
        SU,
        f"Table 3: {_ABLATION}",
        "mfs_seg",
        {"n": 3, "multi_scale": False},
    ),
    System(
        "mfs-seg-no-inception",
        "MFS-Seg Res54, 3x3 in place of Spike Inception",
        SU,
        f"Table 3: {_ABLATION}",
        "mfs_seg",
        {"n": 3, "inception": False},
    ),
    System(
        "mfs-seg-no-group",
        "MFS-Seg Res54, dense 3x3 in place of depthwise ones",
        SU,
        f"Table 3: {_ABLATION}",
        "mfs_seg",
        {"n": 3, "group": False},
    ),
    System(
        "mfs-seg-fire",
        "MFS-Seg with Spike Fire, 4 in each stage; block sizes are ours",
        SU,
        "Table 2",
        "mfs_seg",
        {"n": 4, "block": "fire"},
    ),
    System(
        "mfs-seg-shuffle",
        "MFS-Seg with Spike Shuffle, 1 in each stage; block sizes are ours",
        SU,
        "Table 2",
        "mfs_seg",
        {"n": 1, "block": "shuffle"},
    ),
    System(
        "mfs-seg-fcn",
        "Spiking-FCN with Su et al.'s norm, tdBN",
        SU,
        "Table 1: Spiking-FCN",
        "spiking_fcn",
        {"preset": "published"},
        "spiking-fcn",
    ),
    System(
        "spiking-unet-31m",
        "spiking U-Net of 31 M parameters",
        SU,
        "Table 1: UNet, spiking",
        "spiking_unet",
        {"preset": "published", **_NEURON},
    ),
    System("unet", "U-Net with ReLU", SU, "Table 1", "unet", deployed_as="spiking-unet-31m"),
    System("segnet", "SegNet", SU, "Table 1", "segnet"),
    System(
        "mimo-unet",
        "MIMO-UNet, 4 blocks in each stage",
        SU,
        "Table 1",
        "mimo_unet",
        {"n": 4},
        "mfs-seg-ms-res72",
    ),
    *(
        System(
            f"mfs-seg-ann-{block}-res72",
            f"MFS-Seg with {block.upper()} blocks and ReLU, 4 in each stage",
            SU,
            "Table 1: ANN",
            "ann_mfs_seg",
            {"n": 4, "block": block},
            f"mfs-seg-{block}-res72",
        )
        for block in ("ms", "efs")
    ),
    System(
        "spike-brgnet",
        "three branches of Spike-BRGNet's kind for hardware, gates replaced",
        LONG,
        "sizes of the published code",
        "spike_brgnet",
    ),
    System(
        "spike-brgnet-levels",
        "the same with integer neurons of 4 levels",
        OURS,
        "",
        "spike_brgnet",
        {"levels": 4},
    ),
    System(
        "spiking-deeplab-levels",
        "Spiking-DeepLab with integer neurons of 4 levels",
        OURS,
        "",
        "spiking_deeplab",
        {"levels": 4},
    ),
    System(
        "spiking-deeplab-branches",
        "Spiking-DeepLab trained with re-parameterised branches",
        OURS,
        "",
        "spiking_deeplab",
        {"branches": True},
    ),
    System(
        "spiking-fcn-levels",
        "Spiking-FCN with integer neurons of 4 levels",
        OURS,
        "",
        "spiking_fcn",
        {"levels": 4},
    ),
    System(
        "mfs-seg-efs-levels",
        "MFS-Seg with EFS blocks, 2 in each stage, and integer neurons of 4 levels",
        OURS,
        "",
        "mfs_seg",
        {"n": 2, "levels": 4},
    ),
    System(
        "spiking-unet-levels",
        "spiking U-Net of 31 M parameters with integer neurons of 4 levels",
        OURS,
        "",
        "spiking_unet",
        {"preset": "published", "levels": 4},
    ),
    System(
        "spiking-resnet", "residual network whose stream never spikes", OURS, "", "spiking_resnet"
    ),
    System("spiking-unet-small", "small spiking U-Net", OURS, "", "spiking_unet"),
)

SYSTEMS: Mapping[str, System] = {system.key: system for system in _ALL}
"""Every system by its key; those of a paper follow one another."""
