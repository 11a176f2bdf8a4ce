"""From photos and label maps to overlays on Lava: each command is named by the one before."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHATTER = ("Warning", "warn(", "INFO", "DEBUG", "deprecated", "lightning", "\x1b")
"""What libraries print, and no command of ours."""
PHOTOS = 6
"""Photos of real drives, a part of which the command holds out for test."""


def run(words: list[str], folder: Path) -> str:
    """What a command prints; it must end well."""
    environment = {**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lavaseg", *words]
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    for sign in CHATTER:
        assert sign not in ended.stderr, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_a_script_goes_from_photos_to_overlays_on_lava_by_what_each_command_names(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "CamVid"
    if not source.is_dir():
        pytest.skip("needs the photos of CamVid")
    photos = sorted((source / "val").iterdir())[:: 101 // PHOTOS][:PHOTOS]
    sizes = {}
    for photo in photos:
        for part, folder in (("pictures", "val"), ("labels", "valannot")):
            (tmp_path / "my drive" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / folder / photo.name, tmp_path / "my drive" / part)
        with Image.open(photo) as image:
            sizes[photo.stem] = image.size
    words = ["recipes", "new", "--root", "my drive", "--set", "size=[36, 48]"]
    commands = []
    while True:
        commands.append(words[0])
        said = run(words, tmp_path)
        named = re.findall(r"^Next: `lavaseg ([^`]+)`", said, re.M)
        if words[0] == "predict":
            break
        assert named, f"{words} names no next command:\n{said}"
        words = shlex.split(named[0])
    assert commands == ["recipes", "train", "export", "verify", "predict"]
    assert words[words.index("--backend") + 1] == "lava"
    assert len(list((tmp_path / "predictions").glob("*-overlay.png"))) == PHOTOS
    for stem, size in sizes.items():
        with Image.open(tmp_path / "predictions" / f"{stem}-overlay.png") as overlay:
            assert overlay.size == size
            shown = np.asarray(overlay).astype(int)
        with Image.open(tmp_path / "predictions" / f"{stem}-labels.png") as labels:
            assert labels.size == size
        photo = np.asarray(
            Image.open(tmp_path / "my drive/pictures" / f"{stem}.png").convert("RGB")
        )
        assert np.corrcoef(shown.ravel(), photo.ravel())[0, 1] > 0.5  # it is seen below the colours
