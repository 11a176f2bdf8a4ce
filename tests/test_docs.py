"""The documents are true: examples run, commands parse, what they name exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer

import lavaseg
from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.runs import RunFolder

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, *(ROOT / n for n in ("CONTRIBUTING.md", "CHANGELOG.md"))]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))

TINY = (
    "data.options={train: 24, test: 16}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 4]",
    "encoder.steps=2",
    "training.epochs=1",
    "training.batch_size=8",
    "finetune.epochs=0",
)
"""Overrides that make the README's example a matter of seconds."""


def text_of(document: Path) -> str:
    return document.read_text("utf-8")


def blocks(document: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(document), re.M | re.S)


def code_words(document: Path) -> list[str]:
    """What stands in single backticks outside of fenced blocks."""
    prose = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", prose)


def commands(document: Path) -> list[list[str]]:
    """Command lines that begin with `lavaseg`, in shell blocks and in backticks, as words.

    `lavaseg verify` in a sentence only names a command: help is asked for in its place.
    """
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    mentions = [
        f"{word} --help" if word.count(" ") == 1 else word
        for word in code_words(document)
        if word != "lavaseg --help"
    ]
    found = [line for line in [*lines, *mentions] if line.startswith("lavaseg ")]
    return [shlex.split(line, comments=True)[1:] for line in found]


def statements(code: str) -> list[str]:
    """Python statements in normal form: no comments, one line each."""
    return [ast.unparse(node) for node in ast.parse(code).body]


@pytest.mark.slow
def test_the_pipeline_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (code,) = blocks(README, "python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lavaseg, "load_recipe", lambda name: recipes.load(name, TINY))
    exec(compile(code, str(README), "exec"), {})
    files = RunFolder(tmp_path / "runs" / "example")
    for kept in (files.evaluation, files.net, files.verdict, files.net_evaluation, files.report):
        assert kept.current(), kept.kind.file


def test_the_pipeline_of_the_readme_has_six_lines_and_is_that_of_the_package() -> None:
    (code,) = blocks(README, "python")
    lines = [line for line in statements(code) if not line.startswith("import ")]
    assert len(lines) == 6
    assert lavaseg.__doc__ is not None
    documented = lavaseg.__doc__.split("::\n", 1)[1].split("\n\n", 1)[0]
    assert statements("\n".join(line.strip() for line in documented.splitlines())) == lines


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_line_parses(document: Path) -> None:
    group = typer.main.get_command(app)
    for words in commands(document):
        with group.make_context("lavaseg", words) as context, suppress(typer.Exit):
            name, command, rest = group.resolve_command(context, words)
            with command.make_context(name, rest, parent=context):
                pass  # an unknown command or option, or a missing argument, raises


def test_the_readme_shows_every_command_once() -> None:
    (block,) = (b for b in blocks(README, "sh") if "lavaseg demo" in b)
    shown = [line.split()[1] for line in block.splitlines()]
    assert sorted(shown) == sorted(typer.main.get_command(app).commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.M))
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    for line in [*lines, *code_words(document)]:
        if target := re.match(r"(?:PYTHON=\S+ )?make ([a-z-]+)\b", line):
            assert target[1] in targets, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_exists(document: Path) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "data"}
    folders -= {".venv", ".venv-tools", "runs"}
    for word in code_words(document):
        is_path = re.fullmatch(r"[\w./-]+(\.\w+|/)", word) is not None
        ours = word.split("/")[0] in folders
        if (is_path and ours) or (word.endswith(".py") and not word.startswith("lava/")):
            assert (ROOT / word).exists(), f"{document.name} names {word}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text_of(document)):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), f"{document.name} links {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_python_name_exists(document: Path) -> None:
    for word in code_words(document):
        if not re.fullmatch(r"lavaseg(\.\w+)+(\(.*\))?", word):
            continue
        found = lavaseg
        parts = word.split("(")[0].split(".")
        for depth, part in enumerate(parts[1:], 1):
            if not hasattr(found, part):
                importlib.import_module(".".join(parts[: depth + 1]))
            found = getattr(found, part)


def ignored(folder: Path) -> bool:
    """Whether git ignores a folder."""
    rules = text_of(ROOT / ".gitignore").split()
    at_the_top = folder.parent == ROOT
    return folder.name == ".git" or any(
        fnmatch(folder.name, rule.strip("/")) for rule in rules if at_the_top or rule[0] != "/"
    )


def test_the_map_of_folders_names_exactly_those_that_exist() -> None:
    section = text_of(README).split("## Folders\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([\w./-]+)/` \| (.+) \|$", section, re.M)
    top = [p for p in ROOT.iterdir() if p.is_dir() and not p.is_symlink() and not ignored(p)]
    inner = [p for p in (ROOT / "lavaseg").rglob("*") if p.is_dir() and not ignored(p)]
    existing = {str(path.relative_to(ROOT)) for path in [*top, *inner]}
    assert {name for name, _ in rows} == existing
    for name, purpose in rows:
        assert re.fullmatch(r"[A-Z](?:[^.]|\.(?! ))*\.", purpose), f"{name}: one sentence"
        assert " and " not in purpose, f"{name}: one purpose, not two"


def test_the_table_of_the_run_folder_is_that_of_the_code() -> None:
    section = text_of(ROOT / "docs" / "architecture.md").split("\n## Where state and files live\n")[
        1
    ]
    rows = re.findall(r"^\| `(.+?)` \| (.*?) ?\| (.*?) ?\| (.+) \|$", section, re.M)
    assert rows == [
        (
            kind.file,
            ", ".join(kind.written_by),
            ", ".join(f"`{base.file}`" for base in kind.made_from),
            kind.about,
        )
        for kind in RunFolder.kinds()
    ]


def test_links_at_the_top_lead_to_the_stages_of_the_same_name() -> None:
    links = {path.name: path.resolve() for path in ROOT.iterdir() if path.is_symlink()}
    links = {name: target for name, target in links.items() if target.is_relative_to(ROOT)}
    stages = {name: ROOT / "lavaseg" / name for name in ("training", "export", "deploy")}
    assert links in ({}, stages), "a checkout has all of them, or, without links, none"


def test_dependency_metadata_of_the_readme_is_that_of_the_project() -> None:
    (block,) = blocks(README, "toml")
    assert block.strip() in text_of(ROOT / "pyproject.toml")
