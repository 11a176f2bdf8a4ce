"""Runs of studies: trained once, measured once, shared, resumed; a failure stops no other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lavaseg import training
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.runs import Run, RunFolder
from lavaseg.studies import StudyResult, local, run_study
from lavaseg.studies.files import parse
from lavaseg.studies.measures import MEASURES, row
from lavaseg.studies.measuring import cost
from lavaseg.studies.options import Options
from lavaseg.studies.plan import Plan, key_of, plan
from lavaseg.studies.pool import Pool
from lavaseg.studies.study import Study
from lavaseg.studies.work import do
from lavaseg.system.lock import locked
from lavaseg.system.threads import over_blocks
from lavaseg.training.segmenter import SpikingSegmenter

FIELDS = {
    "data.options": {"train": 24, "test": 8},
    "model.options.channels": [4] * 8,
    "encoder.steps": 2,
    "training.epochs": 1,
    "training.batch_size": 8,
    "finetune.epochs": 0,
}
TINY = {
    "name": "tiny",
    "title": "Does RMP cost mIoU?",
    "recipe": "demo",
    "set": FIELDS,
    "seeds": [0],
    "axes": {"RMP": {"off": {}, "all": {"rmp.weight": 0.1}}},
    "measure": ["test"],
    "table": {"rows": ["RMP"], "columns": ["miou"]},
}


def tiny(**changes: Any) -> Study:
    return parse({**TINY, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """A pool with both runs of `TINY`, trained, of which nothing is measured."""
    pool = Pool(tmp_path_factory.mktemp("pool") / "runs")
    for job in plan(tiny()).jobs:
        training.train(job.recipe, pool.place(job), progress=False)
    return pool


@pytest.fixture
def pool(trained: Pool, tmp_path: Path) -> Pool:
    """A copy of it."""
    subprocess.run(["cp", "-a", str(trained.folder), str(tmp_path / "runs")], check=True)
    return Pool(tmp_path / "runs")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the measure `test` was called with, which only counts; seed 7 fails."""
    found: list[tuple[str, int]] = []

    def count(run: Run, options: Options) -> Iterator[Any]:
        found.append((run.recipe.name, run.recipe.seed))
        if run.recipe.seed == 7:
            raise LavasegError("seven is no good")
        yield row("miou", 50.0 + run.recipe.rmp.weight)
        yield row("accuracy", float("nan"))

    monkeypatch.setattr("lavaseg.studies.measuring.networks.test", count)
    return found


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that training was called with, which still trains."""
    found: list[Path] = []
    real = training.train

    def train(recipe: Any, out: Any, **options: Any) -> Run:
        found.append(Path(out))
        return real(recipe, out, **options)

    monkeypatch.setattr(training, "train", train)
    return found


def in_process(folder: Path, planned: Plan, todo: Any, pool: Pool, report: Any) -> dict[int, str]:
    """A runner that does the jobs here."""
    failed = {}
    for index in todo:
        try:
            do(planned.jobs[index], pool, progress=False)
        except LavasegError as error:
            failed[index] = str(error)
        report(index, 0.0, failed.get(index, ""))
    return failed


def run_tiny(folder: Path, study: Study | None = None, **options: Any) -> StudyResult:
    return run_study(study or tiny(), out=folder, runner=in_process, progress=False, **options)


def test_nothing_is_trained_or_measured_twice(
    pool: Pool, calls: list[tuple[str, int]], trainings: list[Path], tmp_path: Path
) -> None:
    first = run_tiny(tmp_path / "tiny")
    assert len(calls) == 2
    assert [value.value for value in first.results.values] == [50.0, 50.1]
    again = run_tiny(tmp_path / "tiny")
    assert again.results == first.results
    assert len(calls) == 2
    assert trainings == []


def test_a_value_that_is_not_finite_is_none(
    pool: Pool, calls: list[tuple[str, int]], tmp_path: Path
) -> None:
    found = run_tiny(tmp_path / "tiny")
    assert {value.quantity for value in found.results.values} == {"miou"}


def test_studies_share_runs_and_what_was_measured_of_them(
    pool: Pool, calls: list[tuple[str, int]], trainings: list[Path], tmp_path: Path
) -> None:
    run_tiny(tmp_path / "one")
    axes = {"weight": {"none": {}, "some": {"rmp.weight": 0.1}}}
    other = tiny(name="other", title="Else", axes=axes, table=[])
    run_tiny(tmp_path / "two", other)
    assert len(calls) == 2
    assert trainings == []


def test_a_changed_title_trains_nothing_and_a_changed_field_does(
    pool: Pool, calls: list[tuple[str, int]], trainings: list[Path], tmp_path: Path
) -> None:
    job = plan(tiny()).jobs[0]
    renamed = job.recipe.model_copy(update={"title": "Other", "name": "other"})
    assert pool.place(type(job)("x", renamed, key_of(renamed), job.measures)) == pool.place(job)
    run_tiny(tmp_path / "tiny", tiny(title="Other words"))
    assert trainings == []
    changed = tiny(set={**FIELDS, "training.learning_rate": 0.1}, axes={}, table=[])
    run_tiny(tmp_path / "changed", changed)
    assert len(trainings) == 1


def test_other_options_are_another_measurement_and_defaults_spelt_out_are_not(
    pool: Pool, trained: Pool
) -> None:
    study = tiny(measure=["test", {"integers": {}}], axes={}, table=[])
    job = plan(study).jobs[0]
    run = pool.trained(job)
    assert run is not None
    plain, spelt, other = (
        tiny(measure=[{"integers": options}], table=[]).measure[0]
        for options in ({}, {"finetune": True, "verify": 0}, {"verify": 1})
    )
    with pool.holding(job):
        pool.keep(run, plain, [row("integer_miou", 3.0)])
    assert pool.rows(run, spelt) == [row("integer_miou", 3.0)]
    assert pool.rows(run, other) is None


def test_what_was_measured_of_other_weights_does_not_count(
    pool: Pool, calls: list[tuple[str, int]]
) -> None:
    job = plan(tiny()).jobs[0]
    do(job, pool, progress=False)
    run = pool.trained(job)
    assert run is not None
    assert pool.rows(run, job.measures[0]) is not None
    content = bytearray(run.files.weights.path.read_bytes())
    content[-1] ^= 1
    run.files.weights.path.write_bytes(content)
    assert pool.rows(run, job.measures[0]) is None


def test_a_new_version_of_a_measure_measures_again(
    pool: Pool, calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = plan(tiny()).jobs[0]
    do(job, pool, progress=False)
    monkeypatch.setitem(MEASURES, "test", replace(MEASURES["test"], version=2))
    do(job, pool, progress=False)
    assert len(calls) == 2


def test_an_interrupted_training_goes_on_where_it_was(
    pool: Pool, calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = plan(tiny(set={**FIELDS, "training.epochs": 2})).jobs[0]
    real = SpikingSegmenter.training_step

    def interrupted(self: SpikingSegmenter, batch: Any, number: int) -> Any:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return real(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(SpikingSegmenter, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            do(job, pool, progress=False)
    folder = RunFolder(pool.place(job))
    (first,) = folder.history.load()
    assert pool.trained(job) is None
    run = do(job, pool, progress=False)
    assert run.history()[0] == first
    assert [epoch["epoch"] for epoch in run.history()] == [1, 2]


def test_a_run_that_fails_is_named_and_stops_no_other(
    pool: Pool, calls: list[tuple[str, int]], tmp_path: Path
) -> None:
    found = run_tiny(tmp_path / "tiny", tiny(seeds=[7, 0]))
    assert found.failed == {
        "RMP off, seed 7": "measure test: seven is no good",
        "RMP all, seed 7": "measure test: seven is no good",
    }
    assert {value.seed for value in found.results.values} == {0}
    assert "| off | 50.00 | 0 |" in (tmp_path / "tiny" / "table.md").read_text()


def test_a_measure_that_fails_does_not_keep_others_from_being_taken(
    pool: Pool, calls: list[tuple[str, int]]
) -> None:
    job = plan(tiny(seeds=[7], measure=["test", "trivial"], axes={}, table=[])).jobs[0]
    with pytest.raises(LavasegError, match="measure test: seven is no good"):
        do(job, pool, progress=False)
    run = pool.trained(job)
    assert run is not None
    (found,) = pool.rows(run, job.measures[1]) or ()
    assert 40 < found["value"] < 50


def test_a_run_that_another_process_holds_is_waited_for(
    pool: Pool, calls: list[tuple[str, int]]
) -> None:
    job = plan(tiny()).jobs[0]
    script = (
        "import sys; from pathlib import Path; from lavaseg.system.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n print('held', flush=True); sys.stdin.read()"
    )
    measures = pool.place(job) / "measures"
    measures.mkdir()
    words = [sys.executable, "-c", script, str(measures)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        thread = threading.Thread(target=do, args=(job, pool), kwargs={"progress": False})
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert calls == []
        holder.stdin.close()
        thread.join(30)
    assert len(calls) == 1


def test_two_commands_do_not_write_the_same_results(
    pool: Pool, calls: list[tuple[str, int]], tmp_path: Path
) -> None:
    run_tiny(tmp_path / "tiny")
    with locked(tmp_path / "tiny"), pytest.raises(LavasegError, match="another command"):
        run_tiny(tmp_path / "tiny")


def test_results_are_extended_but_never_lost(
    pool: Pool, calls: list[tuple[str, int]], tmp_path: Path
) -> None:
    run_tiny(tmp_path / "tiny")
    more = run_tiny(tmp_path / "tiny", tiny(seeds=[0, 7], title="Other words"))
    assert len(more.results.values) == 2
    for changes in ({"seeds": [0]}, {"set": {}}, {"settings": "quick"}):
        with pytest.raises(LavasegError, match="holds results of the study 'tiny' with other"):
            run_tiny(tmp_path / "tiny", tiny(**changes))
    kept = tmp_path / "tiny" / "study.yaml"
    kept.write_text("name: [")
    with pytest.raises(LavasegError, match=r"study\.yaml"):
        run_tiny(tmp_path / "tiny")


def test_a_folder_of_another_run_is_refused(pool: Pool, calls: list[tuple[str, int]]) -> None:
    one, other = plan(tiny()).jobs
    folder = pool.place(one)
    RunFolder(folder).recipe.save(other.recipe)
    with pytest.raises(LavasegError, match="holds a run of other settings than its name says"):
        do(one, pool, progress=False)


def test_a_damaged_run_is_named_and_stops_no_other(
    pool: Pool, calls: list[tuple[str, int]], tmp_path: Path
) -> None:
    run_tiny(tmp_path / "tiny")
    one, _ = plan(tiny()).jobs
    recipe = RunFolder(pool.place(one)).recipe.path
    recipe.write_text("{")
    found = run_tiny(tmp_path / "tiny")
    assert found.failed is not None
    assert found.failed.keys() == {"RMP off, seed 0"}
    assert recipe.name in found.failed["RMP off, seed 0"]
    assert [value.labels["RMP"] for value in found.results.values] == ["all"]


def test_a_damaged_measurement_fails_its_run_and_leaves_the_others_of_it(
    pool: Pool, calls: list[tuple[str, int]], tmp_path: Path
) -> None:
    study = tiny(measure=["test", "trivial"])
    run_tiny(tmp_path / "tiny", study)
    one, _ = plan(study).jobs
    (file,) = (pool.place(one) / "measures").glob("trivial-*.json")
    file.write_text("{")
    found = run_tiny(tmp_path / "tiny", study)
    assert found.failed is not None
    assert file.name in found.failed["RMP off, seed 0"]
    assert len(found.results.select("miou", {})) == 2
    assert len(found.results.select("trivial_miou", {})) == 1


def test_a_damaged_measurement_is_named(pool: Pool, calls: list[tuple[str, int]]) -> None:
    job = plan(tiny()).jobs[0]
    run = do(job, pool, progress=False)
    (path,) = (run.path / "measures").glob("*.json")
    for content in ("{", "[]", '{"weights": 1}', path.read_text().replace("miou", "fun")):
        path.write_text(content)
        if content.startswith('{"w'):
            assert pool.rows(run, job.measures[0]) is None
            continue
        with pytest.raises(LavasegError, match=path.name):
            pool.rows(run, job.measures[0])


@pytest.mark.slow
def test_an_artificial_run_has_what_it_has_and_no_spikes(tmp_path: Path) -> None:
    fields = {
        **FIELDS,
        "model": {"name": "ann_deeplab", "options": {"channels": [4] * 8}},
        "encoder": {"kind": "direct", "steps": 1, "bits": 8},
    }
    del fields["model.options.channels"], fields["encoder.steps"]
    few = {"steps": [2, 40], "pictures": 4, "calibration": 2, "calibration_steps": 3}
    hybrid = {"steps": [2, 3], "calibration": 2, "epochs": 1}
    measures = ["test", "integers", "energy", "cost", "losses", {"noise": {"sigma": [0.5]}}]
    study = tiny(
        set=fields, axes={}, table=[], measure=[*measures, {"conversion": few}, {"hybrid": hybrid}]
    )
    found = run_tiny(tmp_path / "ann", study)
    assert found.failed == {}
    quantities = {value.quantity for value in found.results.values}
    assert quantities >= {"miou", "ann_energy", "macs", "ann_miou", "loss_last", "drop"}
    assert not quantities & {"spikes", "energy", "integer_spikes"}
    for quantity in ("miou", "integer_miou"):
        fitted = found.results.select(quantity, {}, ["steps"])
        assert {v.labels["steps"] for v in fitted} == {"2", "3"}, quantity
    rules = found.results.select("miou", {}, ["rule", "steps"])
    assert {v.labels["steps"] for v in rules} == {"2", "40"}
    assert {v.labels["rule"] for v in rules} >= {"channel", "layer", "integers"}


def test_a_converted_network_in_pieces_gives_what_it_gives_at_once(tmp_path: Path) -> None:
    import torch

    from lavaseg.export.conversion import convert
    from lavaseg.recipes import load
    from lavaseg.studies.measuring.conversion import readouts
    from lavaseg.training.models import trained_model
    from lavaseg.training.preparing import described

    words = ["model={name: ann_deeplab, options: {channels: [4, 4, 4, 4, 4, 4, 4, 4]}}"]
    words += ["encoder={kind: direct, steps: 1, bits: 8}", "data.options={train: 24, test: 8}"]
    recipe = load("demo", [*words, "training.epochs=1"])
    run = training.train(recipe, tmp_path / "ann", progress=False)
    assert described(recipe, run.data, run.path).model == run.model
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(2, *run.picture_shape, 70, generator=generator) < 0.3).float()
    model = convert(trained_model(run), spikes[..., :4], message_bits=0).to_model()  # type: ignore[arg-type]
    found = dict(readouts(model, spikes, [70, 3, 40]))
    assert list(found) == [3, 40, 70]
    with torch.no_grad():
        for steps, readout in found.items():
            assert torch.equal(readout, model(spikes[..., :steps]))


def script(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Jobs run this code, with the index as its argument."""
    monkeypatch.setattr(
        local, "command", lambda folder, index: [sys.executable, "-c", code, str(index)]
    )


def run_scripts(tmp_path: Path, at_once: int, count: int = 2) -> tuple[dict[int, str], list[int]]:
    """What jobs that are scripts failed with, and the order in which they ended."""
    jobs = plan(tiny(seeds=[*range(count)], axes={}, table=[])).jobs
    ended: list[int] = []
    failed = local.run_jobs(
        tmp_path,
        jobs,
        range(count),
        Pool(tmp_path / "runs"),
        at_once,
        lambda index, seconds, why: ended.append(index),
    )
    return failed, ended


def test_processes_have_their_share_of_threads_and_a_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "workers", lambda: 6)
    script(monkeypatch, "import os, sys; print(os.environ['OMP_NUM_THREADS'], sys.argv[1])")
    failed, ended = run_scripts(tmp_path, 3)
    assert failed == {}
    assert sorted(ended) == [0, 1]
    logs = sorted(path.read_text() for path in (tmp_path / "runs").glob("*/log.txt"))
    assert logs == ["2 0\n", "2 1\n"]


def test_work_is_limited_to_the_threads_that_the_environment_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lavaseg.system.threads.cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pieces: list[tuple[int, int, int]] = []
    over_blocks(10, lambda a, b: pieces.append((threading.get_ident(), a, b)), block=2)
    assert {who for who, _, _ in pieces} == {threading.get_ident()}
    assert [(a, b) for _, a, b in pieces] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]


def test_a_process_that_fails_is_named_by_its_last_words_or_signal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import os, sys\nprint('first', flush=True)\n"
        "if sys.argv[1] == '0': os.kill(os.getpid(), 9)\n"
        "if sys.argv[1] == '1': sys.exit('error: the disk is full')"
    )
    script(monkeypatch, code)
    failed, ended = run_scripts(tmp_path, 1, 3)
    assert ended == [0, 1, 2]
    assert failed.keys() == {0, 1}
    assert failed[0].startswith("killed by signal 9 (log: ")
    assert failed[1].startswith("the disk is full (log: ")


def test_why_a_process_failed_is_said_of_this_attempt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(monkeypatch, "import sys; sys.exit('error: the disk is full')")
    run_scripts(tmp_path, 1)
    script(monkeypatch, "import sys; sys.exit(3)")
    failed, _ = run_scripts(tmp_path, 1, 1)
    assert failed[0].startswith("ended with exit code 3 (log: ")
    assert "the disk is full" in next((tmp_path / "runs").glob("*/log.txt")).read_text()


def test_a_run_whose_folder_cannot_be_is_named_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(monkeypatch, "print('done')")
    first = plan(tiny(seeds=[0, 1], axes={}, table=[])).jobs[0]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / first.folder).write_text("no folder")
    failed, ended = run_scripts(tmp_path, 1)
    assert ended == [0, 1]
    assert failed.keys() == {0}
    assert "cannot be created" in failed[0]


def test_what_processes_have_started_ends_with_them_when_they_are_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "worker = subprocess.Popen(['sleep', '60'])\n"
        f"mark = pathlib.Path({str(tmp_path / 'part')!r})\n"
        "mark.write_text(str(worker.pid))\n"
        f"mark.rename({str(tmp_path / 'worker')!r})\n"
        "time.sleep(60)"
    )
    script(monkeypatch, code)
    monkeypatch.setattr(local, "_GRACE", 0.1)
    real = time.sleep

    def interrupt(seconds: float) -> None:
        if (tmp_path / "worker").exists():
            monkeypatch.setattr(local.time, "sleep", real)
            raise KeyboardInterrupt
        real(seconds)

    monkeypatch.setattr(local.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_scripts(tmp_path, 1, 1)
    worker = Path("/proc") / (tmp_path / "worker").read_text()
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    for _ in range(200):
        if not worker.exists() or (worker / "stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it still runs")


def test_processes_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "(folder / sys.argv[1]).touch()\n"
        "while not (folder / str(1 - int(sys.argv[1]))).exists(): time.sleep(0.01)"
    )
    script(monkeypatch, code)
    assert run_scripts(tmp_path, 2)[0] == {}


def test_processes_end_when_the_command_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from lavaseg.cli.study import _end_with_stdin\n"
        "import time\n"
        "_end_with_stdin()\n"
        f"mark = pathlib.Path({str(tmp_path)!r}) / sys.argv[1]\n"
        "mark.touch()\n"
        "try:\n time.sleep(60)\nexcept KeyboardInterrupt:\n mark.write_text('ended')"
    )
    script(monkeypatch, code)

    def interrupt() -> None:
        while not all((tmp_path / name).exists() for name in "01"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_scripts(tmp_path, 2)
    assert [(tmp_path / name).read_text() for name in "01"] == ["ended", "ended"]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Runs the command in an empty folder with the study in own.yaml; result, stdout apart."""
    monkeypatch.chdir(tmp_path)
    quick = {"quick": {"note": "one epoch", "set": {"training.epochs": 1}}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**TINY, **quick}))
    return lambda *words: CliRunner().invoke(app, ["study", *map(str, words)])


@pytest.mark.slow
def test_a_study_runs_through_the_command_and_is_shown_from_its_csv(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    result = call("run", "own.yaml", "--quick", "--jobs", "2", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["settings"] == "quick"
    assert len(found["tables"][0]["rows"]) == 2
    assert "2 of 2: " in result.stderr
    folder = tmp_path / "runs" / "studies" / "tiny-quick"
    names = {path.name for path in folder.iterdir()}
    assert {"results.csv", "table.md", "study.yaml"} <= names
    assert "Quick version, which only shows that everything works: one epoch." in (
        (folder / "table.md").read_text()
    )
    again = call("run", "own.yaml", "--quick", "--json")
    assert json.loads(again.stdout) == found
    assert "2 finished before" in again.stderr
    for target in ("tiny-quick", folder, folder / "results.csv"):
        assert json.loads(call("show", target, "--json").stdout)["tables"] == found["tables"]
    shown = call("show", "tiny-quick", "--out", "elsewhere")
    assert "Quick version" in shown.output
    assert (tmp_path / "elsewhere" / "table.md").read_text() == (folder / "table.md").read_text()
    (moved := tmp_path / "b.csv").write_text((folder / "results.csv").read_text())
    assert call("show", moved).exit_code == 2
    by_study = json.loads(call("show", moved, "--study", "own.yaml", "--json").stdout)
    assert by_study["tables"] == found["tables"]


def test_a_failed_run_makes_the_command_fail_after_the_others(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, "import sys; sys.exit('error: no good')")
    result = call("run", "own.yaml")
    assert result.exit_code == 1
    assert "failed: RMP all, seed 0; RMP off, seed 0: no good (log: " in result.stderr
    assert result.stderr.count("no good") == 2  # as it happens, and at the end


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "nothing"], "study nothing: there is none: give a YAML file, or one of "),
        (["run", "."], "it is no file, expected one in YAML"),
        (["run", "own.yaml", "--full"], "it has no full version"),
        (["run", "own.yaml", "--quick", "--full"], "choose one"),
        (["run", "own.yaml", "--seeds", "a"], "--seeds must be whole numbers"),
        (["run", "own.yaml", "--seeds", "1,1"], "seeds must be different whole numbers"),
        (["run", "own.yaml", "--set", "training"], "expected field=value"),
        (["run", "own.yaml", "--set", "training.epoch=1"], "there is no field 'training.epoch'"),
        (["run", "own.yaml", "--set", "rmp.weight=1"], "axis 'RMP' sets this field"),
        (["run", "own.yaml", "--set", "rmp.weight.x=1"], "axis 'RMP' sets this field"),
        (["run", "own.yaml", "--set", "seed=1"], "--set seed: each run has its own, give --seeds"),
        (["run", "own.yaml", "--out", "own.yaml"], "own.yaml"),
        (["run", "own.yaml", "--out", "runs"], "runs is the folder of the runs"),
        (["show", "nothing"], "there are no results of 'nothing'"),
        (["show", "nothing.csv"], "there is no file nothing.csv"),
        (["page", "nothing.md"], "nothing.md"),
        (["task", ".", "0"], "study.yaml"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(
    call: Callable[..., Any], words: list[str], expected: str, tmp_path: Path
) -> None:
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_list_names_every_study_with_its_runs(call: Callable[..., Any]) -> None:
    found = {study["name"]: study for study in json.loads(call("list", "--json").stdout)["studies"]}
    assert found["rmp"]["runs"] > 1
    assert "quick" in found["rmp"]["versions"]
    assert "rmp" in call("list").output


@pytest.mark.slow
def test_a_training_step_takes_memory_and_more_with_rmp_on_all_steps(pool: Pool) -> None:
    found = []
    for job in plan(tiny()).jobs:
        run = pool.trained(job)
        assert run is not None
        values = {r["quantity"]: r["value"] for r in cost.cost(run, Options())}
        assert values["train_seconds"] == sum(epoch["seconds"] for epoch in run.history())
        found.append(values.get("step_memory"))
    if None in found:
        pytest.skip("this system does not say how much memory a process takes")
    off, everywhere = found
    assert everywhere > off > 0
