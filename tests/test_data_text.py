"""Events as text: units, columns, header rows; what is not certain is said or refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lavaseg import data
from lavaseg.cli import app
from lavaseg.data.event_files import read_recording, stream_recording
from lavaseg.data.event_text import judged_format, text_format
from lavaseg.data.pictures import write_label_map
from lavaseg.errors import LavasegError

SENSOR = (180, 240)


def written(folder: Path, text: str | bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def times(path: Path, **options: object) -> list[int]:
    return read_recording(path, SENSOR, text_format(**options)).t.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3811 96 133 0\n3900 11 12 1\n", [3811, 3900]),
        ("0 96 133 0\n0.000123 11 12 1\n", [0, 123]),
        ("3e-05 96 133 0\n0.000123 11 12 1\n", [30, 123]),
        ("1.234567e+06 9.6e+01 1.33e+02 0.0e+00\n1.234590e+06 11 12 1\n", [1234567, 1234590]),
        ("\ufeff3811,96,133,0\n", [3811]),
        ("\ufeff# t x y p\n240 180\n3811;96;133;0\r\n", [3811]),
        ("timestamp,x,y,polarity\n3811,96,133,0\n", [3811]),
        ("x,y,p,t\n96,133,0,3811\n", [3811]),
        (',"x","y","polarity","t_ns"\n0,96,133,0,3811000\n1,11,12,1,3900000\n', [3811, 3900]),
        ("t [s] x y p\n12 96 133 0\n", [12_000_000]),
        ("# time(ms) x y p\n12 96 133 0\n", [12_000]),
        ("t_usec,x,y,p\r\n12,96,133,-1\r\n", [12]),
        ("timestamp_nsecs,x,y,p\n12000,96,133,0\n", [12]),
        ("time (second) x y p\n12 96 133 0\n", [12_000_000]),
        ("%geometry:240,180\n3811 96 133 0\n", [3811]),
    ],
)
def test_what_a_text_file_says_of_its_events_is_understood(
    tmp_path: Path, text: str, expected: list[int]
) -> None:
    events = read_recording(written(tmp_path, text), SENSOR)
    assert events.t.tolist() == expected
    assert (events.x[0], events.y[0], events.polarity[0]) == (96, 133, False)


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("nanoseconds", "1700000000000003811 1 2 0\n1700000000000004500 1 2 1\n"),
        ("microseconds", "9007199254740993 1 2 0\n9007199254740995 1 2 1\n"),
        ("seconds", "1700000 1 2 0\n1700001 1 2 1\n"),
        ("milliseconds", "7 1 2 0\n7.25 1 2 1\n"),
        ("microseconds", "1700000000000003.0 1 2 0\n9007199254740993.0 1 2 1\n"),
        ("nanoseconds", "1700000000000003811.0 1 2 0\n1700000000000004811e0 1 2 1\n"),
    ],
)
def test_times_are_exact_to_the_microsecond_in_every_unit(
    tmp_path: Path, unit: str, text: str
) -> None:
    factor = {"seconds": 10**6, "milliseconds": 10**3, "microseconds": 1}.get(
        unit, Fraction(1, 1000)
    )
    said = [Fraction(line.split()[0]) * factor for line in text.splitlines()]
    found = times(written(tmp_path, text), unit=unit)
    assert found == [int(time + Fraction(1, 2)) for time in said]


def test_columns_in_another_order_are_read_as_the_option_says(tmp_path: Path) -> None:
    path = written(tmp_path, "96,133,0,3811\n11,12,1,3900\n", "a.csv")
    with pytest.raises(LavasegError, match=r"polarity .*give columns='x y p t'"):
        read_recording(path, SENSOR)
    for columns in ("x y p t", "xypt", ["x", "y", "p", "t"]):
        events = read_recording(path, SENSOR, text_format(None, columns))
        assert (events.t.tolist(), events.y.tolist()) == ([3811, 3900], [133, 12])
    wide = written(tmp_path, "cam0 3811 96 133 0\n", "b.txt")
    assert times(wide, columns="- t x y p") == [3811]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1700000000000003811 1 2 0\n", "does not say the unit.*give the option unit"),
        ("0 1 2 0\n4000000000 1 2 0\n", "does not say the unit.*take 4000 s.*option unit"),
        ("u x y p\n1 2 3 1\n", "header row is 'u x y p', which does not name t, x, y and p"),
        ("1 2 3 1\n2,,3,1\n", "line 't x y p'"),
        ("1 2 3 1\nnan 2 3 1\n", "line 't x y p'"),
        ("0.1 2.5 3 1\n", "x = 2.5"),
        ("0.1 2 3 1\ninf 2 3 1\n", "not finite"),
        ("99999999999999999999 2 3 1\n", "line 't x y p'"),
    ],
)
def test_what_is_uncertain_or_wrong_is_refused_in_one_sentence(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(LavasegError, match=rf"a\.txt.*{words}") as caught:
        read_recording(written(tmp_path, text), SENSOR)
    assert "\n" not in str(caught.value)


def test_a_unit_that_was_judged_is_held_against_the_rest_of_the_file(tmp_path: Path) -> None:
    whole = "".join(f"{k} 1 2 1\n" for k in range(2**16))
    with pytest.raises(LavasegError, match=r"fraction after whole numbers .*option unit"):
        list(stream_recording(written(tmp_path, whole + "65536.5 1 2 1\n"), SENSOR))
    assert (
        len(times(written(tmp_path, whole + "65536.5 1 2 1\n"), unit="microseconds")) == 2**16 + 1
    )


def test_a_header_that_contradicts_an_option_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "t_us x y p\n1 2 3 1\n")
    with pytest.raises(LavasegError, match="header row says unit microseconds, the option seconds"):
        read_recording(path, SENSOR, text_format("seconds"))
    with pytest.raises(LavasegError, match="header row says columns"):
        read_recording(path, SENSOR, text_format(None, "t y x p"))


@pytest.mark.parametrize(
    ("unit", "columns", "words"),
    [
        ({}, None, "'unit' must be one of"),
        ("hours", None, "'unit' must be one of seconds, milliseconds"),
        (None, "t x y", "'columns' must name t, x, y and p"),
        (None, "t t x y p", "'columns'"),
        (None, 4, "'columns'"),
    ],
)
def test_wrong_option_of_text_is_named(unit: object, columns: object, words: str) -> None:
    with pytest.raises(LavasegError, match=words):
        text_format(unit, columns)


def test_a_judged_unit_is_stated_and_a_given_one_is_not(tmp_path: Path) -> None:
    path = written(tmp_path, "3 1 2 1\n")
    assert text_format("ns") == text_format("nanoseconds")
    remark = judged_format(path, text_format()).remark
    assert remark.startswith("whole numbers in text recordings were taken for microseconds")
    assert not judged_format(path, text_format("nanoseconds")).remark


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "val", "test"):
        for kind in ("recordings", "labels"):
            (tmp_path / part / kind).mkdir(parents=True)
        for k in range(2):
            written(tmp_path / part / "recordings", f"{k} 1 2 1\n9 3 4 0\n", f"{k}.txt")
            label = np.zeros((6, 8), np.uint8)
            write_label_map(label, tmp_path / part / "labels" / f"{k}_mask.png")
    return tmp_path


def test_recordings_of_a_folder_share_one_unit(folder: Path) -> None:
    options = {"root": str(folder), "classes": 2, "sensor": [6, 8]}
    found = data.load("event-folder", **options)
    assert any("taken for microseconds" in remark for remark in found.remarks)
    assert found.test[0][0].t.tolist() == [0, 9]
    found = data.load("event-folder", **options, unit="milliseconds")
    assert found.test[0][0].t.tolist() == [0, 9000]
    assert not any("taken" in remark for remark in found.remarks)
    written(folder / "test" / "recordings", "0.5 1 2 1\n0.6 1 2 1\n", "0.txt")
    with pytest.raises(LavasegError, match=r"0\.txt has times with a fraction .*option unit"):
        data.load("event-folder", **options).test[0]


def test_check_says_which_unit_and_which_parts_were_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    call = ["data", "check", "event-folder", str(folder), "--set", "classes=2"]
    result = CliRunner().invoke(app, [*call, "--set", "sensor=[6, 8]", "-o", "x.png"])
    assert result.exit_code == 0, result.output
    assert "were taken for microseconds" in result.stdout
    assert "train from train/, validation from val/, test from test/" in result.stdout
    assert "'_mask'" in result.stdout
