"""Finds the network that is to be drawn: in a file, a run, a recipe or a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.network import Input, Network, Shape
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system.words import command, meant, meant_path

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.recipes import Recipe
    from lavaseg.runs import Run

USUAL_INPUT: Shape = (3, 64, 64)
USUAL_CLASSES = 21
"""What a model is drawn for that no data set belongs to, as in `lavaseg models`."""


@dataclass(frozen=True)
class Shown:
    """A network to be drawn.

    Args:
        title: what it is called.
        steps: T, where it is known.
        weights: of a network in integers.
        rectified: it has rectified units in place of neurons.
        run: the run that it is of.
        remark: what the user should know about the choice, or ''.
    """

    network: Network
    title: str
    steps: int | None = None
    weights: Mapping[str, np.ndarray] | None = None
    rectified: bool = False
    run: Run | None = None
    remark: str = ""


@dataclass(frozen=True)
class Options:
    """What a user says of a recipe or model that is to be drawn.

    Args:
        changes: words FIELD=VALUE: options of a model, or fields of a recipe.
        sheet: (channels, height, width) of the network's input.
        classes: channels of the read-out.
        width: channels of the first layer.
    """

    changes: Sequence[str] = ()
    sheet: Shape | None = None
    classes: int | None = None
    width: int | None = None

    def check_unused(self, name: str, what: str) -> None:
        """LavasegError if an option was given that does not change what is drawn."""
        given = {
            "--set": self.changes,
            "--input": self.sheet,
            "--classes": self.classes,
            "--width": self.width,
        }
        for option, value in given.items():
            if value:
                raise LavasegError(f"{option} changes a recipe or a model, and {name} is {what}")


def as_shown(what: Network | IntegerNetwork | AnalogModel | Run, title: str = "") -> Shown:
    """What is drawn of an object.

    Raises:
        LavasegError: an artificial network without a description.
    """
    if isinstance(what, IntegerNetwork):
        return Shown(what.network, title or "network in integers", what.steps, what.weights)
    if isinstance(what, AnalogModel):
        if what.description is None:
            raise LavasegError(
                f"{what.name!r} is a torch module, which has no description to draw: "
                f"`lavaseg models {what.name}` lists its layers"
            )
        return Shown(what.description, title or what.name, rectified=True)
    if isinstance(what, Network):
        return Shown(what, title or "network")
    found = as_shown(what.model, title or f"{what.path}: {what.recipe.title}")
    steps = None if found.rectified else what.recipe.encoder_object.steps
    return Shown(found.network, found.title, steps, rectified=found.rectified, run=what)


def find_network(what: str | Path, options: Options | None = None) -> Shown:
    """The network that a word names: a run, a .net file, a recipe, a system or a model.

    Raises:
        LavasegError: there is nothing of that name, or options that it does not have.
    """
    options = options or Options()
    path = Path(what)
    if path.is_dir():
        from lavaseg.runs import Run

        options.check_unused(str(path), "a run")
        return as_shown(Run.open(path))
    if path.suffix.lower() == ".net" or (path.is_file() and path.suffix not in (".yaml", ".yml")):
        options.check_unused(str(path), "a file")
        return _of_file(path)
    return _of_name(str(what), options)


def _of_file(path: Path) -> Shown:
    if not path.exists():
        made = f": {command('export', 'RUN', '-o', path)} makes one"
        raise LavasegError(f"there is no file {path}{meant_path(path) or made}")
    from lavaseg.netx import read, read_stock
    from lavaseg.netx.hdf5 import SIGNATURE
    from lavaseg.system.faults import reading

    with reading(path), path.open("rb") as file:
        stock = file.read(len(SIGNATURE)) == SIGNATURE
    if not stock:
        return as_shown(read(path), str(path))
    from lavaseg.encoders import Poisson

    remarks: list[str] = []
    net = read_stock(path, steps=1, encoder=Poisson(1), remark=remarks.append)
    return Shown(net.network, str(path), None, net.weights, remark="; ".join(remarks))


def _of_name(name: str, options: Options) -> Shown:
    from lavaseg import recipes
    from lavaseg.models import ANALOG, MODELS
    from lavaseg.models.systems import SYSTEMS, find

    if name in recipes.names() or Path(name).suffix in (".yaml", ".yml"):
        if options.width is not None:
            raise LavasegError("--width chooses a model's channels: a recipe has model.options")
        return _of_recipe(recipes.load(name, options.changes), options)
    known = (*MODELS, *ANALOG)
    if name not in (*SYSTEMS, *known):
        close = meant(name, (*recipes.names(), *SYSTEMS, *known))
        listed = "; `lavaseg recipes` and `lavaseg models` list them"
        raise LavasegError(
            f"there is no run, .net file, recipe, system or model {name!r}{close or listed}"
        )
    system = find(name)
    sheet, classes = options.sheet or USUAL_INPUT, options.classes or USUAL_CLASSES
    given = _values(options.changes)
    model = system.build(Input("input", sheet), classes, options.width, given)
    words = "".join(f", {key}={value}" for key, value in given.items())
    return as_shown(model, f"{name}{words}")


def _values(changes: Sequence[str]) -> dict[str, Any]:
    """Options of a model from FIELD=VALUE, values being YAML."""
    from lavaseg.system.faults import reading
    from lavaseg.system.settings import read_yaml

    found = {}
    for item in changes:
        field, equals, value = item.partition("=")
        field = field.removeprefix("model.options.")
        if not field or not equals:
            raise LavasegError(f"--set {item!r}: expected option=value, such as width=32")
        with reading(f"--set {item!r}: {value!r}", "is not a YAML value"):
            found[field] = read_yaml(value, field)
    return found


def _of_recipe(recipe: Recipe, options: Options) -> Shown:
    """A recipe's network for its data, or for a size that is said where these are not at hand."""
    from lavaseg import models
    from lavaseg.models.delays import learning_delays

    encoder = recipe.encoder_object
    shape, classes, remark = _sizes(recipe, options)
    sheet = Input("input", shape, encoder.message_bits)
    model = models.build(recipe.model.name, sheet, classes, **recipe.model.options)
    if isinstance(model, Network):
        model = learning_delays(model, recipe.training.max_delay)
    found = as_shown(model, f"{recipe.name}: {recipe.title}")
    steps = None if found.rectified else encoder.steps
    return Shown(found.network, found.title, steps, rectified=found.rectified, remark=remark)


def _sizes(recipe: Recipe, options: Options) -> tuple[Shape, int, str]:
    """Shape of the network's input, number of classes, and a remark if they are made up."""
    if options.sheet is not None and options.classes is not None:
        return options.sheet, options.classes, ""
    from lavaseg import data

    encoder = recipe.encoder_object
    try:
        found = data.load(recipe.data.name, **recipe.data.options)
        sheet = options.sheet or encoder.shape(found.picture_shape)
        return sheet, options.classes or len(found.classes), ""
    except LavasegError as error:
        sensor = getattr(encoder, "sensor", None)  # of a code of events
        sheet = options.sheet or encoder.shape((2, *sensor) if sensor else USUAL_INPUT)
        classes = options.classes or USUAL_CLASSES
        size = "x".join(map(str, sheet))
        return (
            sheet,
            classes,
            f"drawn for an input of {size} and {classes} classes, which --input and --classes "
            f"change, since the data are not at hand: {error}",
        )
