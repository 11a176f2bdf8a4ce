"""Recipes: those that ship are sound, overrides work, and mistakes are named by their field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from lavaseg import data, models, recipes
from lavaseg.encoders import EventEncoder
from lavaseg.models.analog import AnalogModel
from lavaseg.network import Input, Network
from lavaseg.recipes import RecipeError, Rmp, Surrogate
from lavaseg.training.slayer.surrogates import surrogate_derivative


@pytest.mark.parametrize("name", recipes.names())
def test_shipped_recipe_is_named_like_its_file_and_says_what_it_trains(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.data.name in data.DATASETS


@pytest.mark.parametrize("name", recipes.names())
def test_shipped_recipe_builds_its_network(name: str) -> None:
    recipe = recipes.load(name)
    encoder = recipe.encoder_object
    stimulus = (3, 32, 32)
    if encoder.kind == "frames":
        stimulus = (2 * encoder.steps, 64, 64)
    elif isinstance(encoder, EventEncoder):
        stimulus = (2, *encoder.sensor)
    sheet = Input("input", encoder.shape(stimulus), encoder.message_bits)
    model = models.build(recipe.model.name, sheet, 2, **recipe.model.options)
    if isinstance(model, AnalogModel):
        assert model.layers[-1].shape[0] == 2
    else:
        assert model.shape(model.readout)[0] == 2


@pytest.mark.parametrize("name", recipes.names())
def test_dumped_recipe_loads_equal(name: str, tmp_path: Path) -> None:
    recipe = recipes.load(name)
    path = tmp_path / "copy.yaml"
    path.write_text(recipes.dump(recipe), "utf-8")
    assert recipes.load(path) == recipe


def test_every_recipe_is_in_one_group() -> None:
    grouped = [name for group in recipes.GROUPS for name in recipes.names(group)]
    assert sorted(grouped) == recipes.names()
    assert all(recipes.names(group) for group in recipes.GROUPS)
    assert all(name.startswith("quick-") for name in recipes.names("quick"))


KIM = Surrogate(kind="triangle", width=1.0, height=0.3, reset="ignore")


@pytest.mark.parametrize(
    ("pattern", "constants"),
    [
        (
            r"kim-(deeplab|fcn)(-table1)?-(voc|ddd17|mnist-cifar10)|kim-ann-.*",
            {
                "epochs": 60,
                "batch_size": 16,
                "learning_rate": 3e-3,
                "optimiser": "amsgrad",
                "weight_decay": 5e-4,
                "milestones": (0.5, 0.8),
                "decay": 0.1,
                "initial_weights": "xavier_uniform",
                "initial_gain": 2,
                "surrogate": KIM,
            },
        ),
        (
            r"kim-printed-.*",
            {
                "epochs": 60,
                "batch_size": 16,
                "learning_rate": 3e-3,
                "optimiser": "adam",
                "weight_decay": 0,
                "milestones": (0.5,),
                "decay": 0.1,
                "surrogate": KIM.model_copy(update={"height": 1.0}),
            },
        ),
        (
            r"rmp-(?!.*hardware).*",
            {
                "epochs": 60,
                "batch_size": 16,
                "learning_rate": 3e-3,
                "milestones": (0.5,),
                "surrogate": KIM,
            },
        ),
        (
            r"mfs-.*-camvid",
            {
                "epochs": 600,
                "batch_size": 2,
                "learning_rate": 1e-3,
                "optimiser": "adam",
                "milestones": (pytest.approx(1 / 3), pytest.approx(2 / 3)),
                "decay": 0.1,
            },
        ),
        (
            r"mfs-.*-ddd17",
            {
                "epochs": 100,
                "batch_size": 8,
                "learning_rate": 1e-3,
                "milestones": (0.2, 0.4, 0.6, 0.8),
                "decay": 0.1,
            },
        ),
        (
            r"mfs-.*-dsec",
            {
                "epochs": 100,
                "batch_size": 4,
                "learning_rate": 2e-3,
                "milestones": (0.6,),
                "decay": 0.5,
            },
        ),
    ],
)
def test_recipes_of_papers_have_their_constants(pattern: str, constants: dict[str, object]) -> None:
    found = [name for name in recipes.names("papers") if re.fullmatch(pattern, name)]
    assert found
    for name in found:
        training = recipes.load(name).training
        assert {field: getattr(training, field) for field in constants} == constants, name


def test_surrogates_of_su_et_al_are_their_rectangle_at_every_threshold() -> None:
    """1 on |v - theta| <= 0.5, whatever theta is."""
    for name in recipes.names("papers"):
        recipe = recipes.load(name)
        if not name.startswith("mfs") or recipe.model.name in models.ANALOG:
            continue
        sheet = Input("input", (3, 32, 32))
        network = models.build(recipe.model.name, sheet, 12, **recipe.model.options)
        assert isinstance(network, Network)
        thresholds = {p.threshold for p in network.populations if p.norm == "batch"} - {None}
        (theta,) = thresholds
        assert theta is not None
        v = theta + torch.tensor([-0.6, -0.49, 0.0, 0.49, 0.6])
        found = surrogate_derivative(v, theta, theta, recipe.training.surrogate)
        assert found.tolist() == [0, 1, 1, 1, 0], name


def test_data_and_regularisation_of_papers_recipes_are_theirs() -> None:
    voc = recipes.load("kim-deeplab-voc")
    assert voc.data.options == {"train": "trainaug", "size": [64, 64], "void": "background"}
    assert voc.encoder["mean"] == (122.67892, 116.66877, 104.00699)
    for name, train, test in (("kim-", 48_000, 12_000), ("rmp-plain-off-", 10_000, 2_500)):
        prefix = f"{name}deeplab-" if name == "kim-" else name
        options = recipes.load(f"{prefix}mnist-cifar10").data.options
        assert options == {"train": train, "test": test}
    for name in recipes.names("papers"):
        recipe = recipes.load(name)
        if not name.startswith("rmp") or "-off-" in name:
            assert recipe.rmp.weight == 0
        else:
            assert (recipe.rmp.weight, recipe.rmp.schedule) == (0.1, "ramp")
        if recipe.data.name == "camvid":
            own = {"size": [180, 240], "unlabelled": "class"}
            theirs = {"parts": "test-in-training"} if "test-in-training" in name else {}
            assert recipe.data.options == own | theirs
        assert recipe.training.train_on_all == ("test-in-training" in name)


def test_rmp_has_a_recipe_for_each_network_time_and_data_set_that_differ_in_nothing_else() -> None:
    whole = Rmp(weight=0.1, time="all", schedule="ramp")
    expected = {"off": Rmp(), "all": whole, "last": whole.model_copy(update={"time": "last"})}
    for data_set in ("mnist-cifar10", "voc", "ade20k"):
        plain = recipes.load(f"rmp-plain-off-{data_set}")
        assert plain.data.name == data_set
        for network, rates in (("plain", None), ("aspp", [1, 6, 12, 18])):
            for time, rmp in expected.items():
                recipe = recipes.load(f"rmp-{network}-{time}-{data_set}")
                assert recipe.rmp == rmp
                assert recipe.model.options.get("aspp") == rates
                same = {"name", "title", "paper", "rmp", "model"}
                assert recipe.model_dump(exclude=same) == plain.model_dump(exclude=same)


def test_kim_et_al_as_printed_differs_from_their_code_in_what_they_print() -> None:
    voc = recipes.load("kim-printed-deeplab-voc")
    assert voc.encoder == {"kind": "poisson", "steps": 20, "inverted": True}
    assert voc.encoder_object.shape((3, 64, 64)) == (3, 64, 64)
    assert voc.model.options["classifier_layers"] == 3
    for name in ("deeplab", "fcn"):
        ddd17 = recipes.load(f"kim-printed-ann-{name}-ddd17")
        assert ddd17.model.options["frames"] == ddd17.encoder_object.steps == 20


def test_time_steps_of_papers_recipes_are_theirs() -> None:
    for name in recipes.names("papers"):
        recipe = recipes.load(name)
        if recipe.model.name in models.ANALOG:
            continue
        wanted = {"kim": 20, "rmp": 20, "brg": 5, "mfs": 5 if name.endswith("camvid") else 2}
        assert recipe.encoder_object.steps == wanted[name[:3]], name


def test_a_recipe_like_another_differs_only_in_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "like: demo\nname: mine\nmodel: {name: spiking_fcn}\ntraining: {epochs: 7}\n", "utf-8"
    )
    mine, demo = recipes.load(path), recipes.load("demo")
    assert (mine.model.name, mine.model.options) == ("spiking_fcn", {})
    assert mine.training.epochs == 7
    changes = {"name": demo.name, "model": demo.model, "training": demo.training}
    assert mine.model_copy(update=changes) == demo
    assert mine.training.model_copy(update={"epochs": demo.training.epochs}) == demo.training


@pytest.mark.parametrize("base", ["dmeo", "[demo]", "mine.yaml"])
def test_a_recipe_like_none_that_ships_is_refused(base: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"like: {base}\nname: mine\n", "utf-8")
    with pytest.raises(RecipeError, match=r"mine\.yaml: field like"):
        recipes.load(path)


def test_the_demo_ships() -> None:
    assert "demo" in recipes.names()


def test_overrides_reach_nested_fields_and_leave_the_shipped_recipe_alone() -> None:
    before = recipes.load("demo")
    changed = recipes.load(
        "demo", ["training.epochs=3", "rmp.weight=1e-1", "encoder.steps=2", "rmp.time=last"]
    )
    assert changed.training.epochs == 3
    assert changed.rmp.weight == pytest.approx(0.1)
    assert changed.rmp.time == "last"
    assert changed.encoder_object.steps == 2
    assert recipes.load("demo") == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "no field 'training.epoch': did you mean 'epochs'"),
        ("colour=red", "no field 'colour'; a recipe has name"),
        ("training.epochs=0", "'training.epochs'.*greater than or equal to 1.*got 0"),
        ("training.epochs=many", "'training.epochs'.*got 'many'"),
        ("training.schedule=zigzag", "'training.schedule'.*got 'zigzag'"),
        ("encoder.kind=morse", "encoder.*unknown encoder 'morse'"),
        ("encoder.step=3", "has no field 'step'"),
        ("encoder.interleave=2", "interleave is set by `lavaseg export --widest`"),
        ("rmp={target: steady_state, time: last}", "'rmp'.*steady_state with time last is 0"),
        ("rmp.mean=batch", "'rmp.mean'.*got 'batch'"),
        ("training.train_on_all=2", "'training.train_on_all'.*got 2"),
        ("rmp.target=middle", "'rmp.target'.*got 'middle'"),
        ("training.surrogate.width=-1", "'training.surrogate.width'.*got -1"),
        ("training.epochs", "expected field=value"),
        ("=3", "expected field=value"),
        ("name.first=3", "'name' is a value"),
        ("training.epochs=[1", "not a YAML value"),
    ],
)
def test_wrong_override_names_the_field(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.load("demo", [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold fields"),
        ("- a\n- b\n", "must hold fields"),
        ("name: [", "not valid YAML"),
        ("name: x\n", "field 'title' is missing"),
        ("!!python/object/apply:os.system [true]\n", "not valid YAML"),
    ],
)
def test_wrong_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeError, match=f"mine.yaml.*{message}"):
        recipes.load(path)


def test_binary_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        recipes.load(path)


def test_unknown_recipe_lists_those_that_ship() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'dmeo'.*demo"):
        recipes.load("dmeo")
