"""Recordings of event cameras: real files event for event, damaged ones by name."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard

from lavaseg.data.aedat4 import MAGIC
from lavaseg.data.event_files import cut, read_recording, stream_recording
from lavaseg.errors import LavasegError
from lavaseg.events import Events, joined

REAL = {
    "evlib_sample.aedat4": (6_676, (260, 346), None),
    "tonic_sample.aedat4": (111_954, (240, 320), None),
    "expelliarmus_evt3_sample.raw": (219_596, (720, 1280), None),
    "ncaltech101_faces_easy_0001.bin": (67_445, (180, 240), (180, 240)),
    "nmnist/train/1.bs2": (4_681, (34, 34), (34, 34)),
}
"""Events, sensor, and what must be said of the sensor."""


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> Path:
    return shared_data / "events"


def same(one: Events, other: Events) -> bool:
    return one.sensor == other.sensor and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("t", "x", "y", "polarity")
    )


def random_events(count: int = 5_000, sensor: tuple[int, int] = (48, 64)) -> Events:
    rng = np.random.default_rng(count)
    t = np.sort(rng.integers(0, 200_000, count))
    x, y = rng.integers(0, sensor[1], count), rng.integers(0, sensor[0], count)
    return Events(t, x, y, rng.integers(0, 2, count) == 1, sensor)


@pytest.mark.parametrize("name", REAL)
def test_real_file_gives_all_of_its_events(recordings: Path, name: str) -> None:
    count, sensor, said = REAL[name]
    events = read_recording(recordings / name, said)
    assert (len(events), events.sensor) == (count, sensor)
    assert 0.4 < events.polarity.mean() < 0.6
    assert 0.1e6 < events.span[1] - events.span[0] < 1e6 or name.endswith("raw")


def test_aedat4_agrees_with_the_library_of_faery(recordings: Path) -> None:
    import faery

    path = recordings / "tonic_sample.aedat4"
    packets = np.concatenate(list(faery.events_stream_from_file(path)))
    expected = Events(
        packets["t"].astype(np.int64), packets["x"], packets["y"], packets["on"], (240, 320)
    )
    assert same(read_recording(path), expected)


def write_5_bytes(events: Events, path: Path) -> Path:
    t = events.t
    table = np.stack(
        [events.x, events.y, events.polarity * 128 + (t >> 16), t >> 8 & 255, t & 255], axis=1
    )
    path.write_bytes(table.astype(np.uint8).tobytes())
    return path


def write_text(events: Events, path: Path) -> Path:
    rows = zip(events.t, events.x, events.y, events.polarity, strict=True)
    path.write_text("".join(f"{t} {x} {y} {int(p)}\n" for t, x, y, p in rows))
    return path


def write_seconds(events: Events, path: Path) -> Path:
    rows = zip(events.t, events.x, events.y, events.polarity, strict=True)
    lines = [f"{t / 1e6:.6f},{x},{y},{2 * int(p) - 1}\n" for t, x, y, p in rows]
    height, width = events.sensor
    path.write_text(f"# seconds\n{width} {height}\n" + "".join(lines))
    return path


def evt2(events: Events, path: Path) -> Path:
    """Words of 32 bits: 0x8 with the upper 28 bits of time, then 0x0 / 0x1 for OFF / ON."""
    t, x, y, p = events.t, events.x.astype(int), events.y.astype(int), events.polarity
    words = np.stack([8 << 28 | t >> 6, p.astype(int) << 28 | (t & 63) << 22 | x << 11 | y], axis=1)
    path.write_bytes(b"% evt 2.0\n% geometry 64x48\n" + words.astype("<u4").tobytes())
    return path


def evt21_words(events: Events) -> np.ndarray:
    """A time for each event, then up to 32 columns of one row, time and polarity in one word."""
    t, x, y, p = events.t, events.x.astype(int), events.y.astype(int), events.polarity
    words: list[int] = []
    for k in range(len(events)):
        head = int(p[k]) << 28 | int(t[k] & 63) << 22 | int(x[k] & ~31) << 11 | int(y[k])
        bit = 1 << int(x[k] & 31)
        if words and words[-1] >> 32 == head and words[-1] & 0xFFFFFFFF < bit:
            words[-1] |= bit
        else:
            words += [(8 << 28 | int(t[k]) >> 6) << 32, head << 32 | bit]
    return np.array(words, np.uint64)


def evt21(events: Events, path: Path) -> Path:
    header = b"% evt 2.1\n% format EVT21;height=48;width=64\n% end\n"
    path.write_bytes(header + evt21_words(events).astype("<u8").tobytes())
    return path


def evt21_legacy(events: Events, path: Path, says: bytes = b";endianness=legacy") -> Path:
    """The same with the halves of each word swapped, as the IMX636 sends them."""
    words = evt21_words(events)
    header = b"% evt 2.1\n% format EVT21;height=48;width=64" + says + b"\n% end\n"
    path.write_bytes(header + (words << np.uint64(32) | words >> np.uint64(32)).tobytes())
    return path


def test_swapped_words_of_evt21_are_told_by_the_words_themselves(tmp_path: Path) -> None:
    events = random_events()
    assert same(read_recording(evt21_legacy(events, tmp_path / "a.raw", b"")), events)


def test_neighbours_in_one_word_of_evt21_are_events_of_their_own(tmp_path: Path) -> None:
    columns = np.array([0, 5, 31, 32, 63])
    equal = np.full(5, 700)
    events = Events(equal, columns, np.full(5, 9), np.ones(5, bool), (48, 64))
    assert len(evt21_words(events)) == 4
    assert same(read_recording(evt21(events, tmp_path / "a.raw")), events)


def test_clock_of_evt21_goes_on_after_its_34_bits(tmp_path: Path) -> None:
    word = evt21_words(Events(np.array([65]), *np.array([[3], [4], [1]]), (48, 64)))
    late = word.copy()
    late[0] = np.uint64(8 << 60 | (2**28 - 1) << 32)
    path = tmp_path / "a.raw"
    path.write_bytes(b"% evt 2.1\n% geometry 64x48\n" + np.concatenate([late, word]).tobytes())
    np.testing.assert_array_equal(read_recording(path).t, [2**34 - 64 + 1, 2**34 + 65])


@pytest.mark.parametrize(
    ("write", "name", "sensor"),
    [
        (evt21, "a.raw", None),
        (evt21_legacy, "a.raw", None),
        (write_5_bytes, "a.bin", (48, 64)),
        (write_text, "a.txt", (48, 64)),
        (write_seconds, "a.csv", None),
        (evt2, "a.raw", None),
    ],
)
def test_what_was_written_is_read(
    write: Callable[..., Path], name: str, sensor: tuple[int, int] | None, tmp_path: Path
) -> None:
    events = random_events()
    assert same(read_recording(write(events, tmp_path / name), sensor), events)


def test_long_text_is_read_in_pieces(tmp_path: Path) -> None:
    events = random_events(150_000)
    path = write_text(events, tmp_path / "a.txt")
    pieces = list(stream_recording(path, (48, 64)))
    assert len(pieces) == 3
    assert same(joined(pieces), events)


def test_overrun_of_the_clock_in_5_byte_files_adds_to_the_time(tmp_path: Path) -> None:
    table = [[3, 4, 128, 0, 9], [0, 240, 0, 0, 0], [5, 6, 0, 0, 1]]
    path = tmp_path / "a.bin"
    path.write_bytes(np.array(table, np.uint8).tobytes())
    events = read_recording(path, (34, 34))
    np.testing.assert_array_equal(events.t, [9, 2**13 + 1])
    np.testing.assert_array_equal(events.polarity, [True, False])


def aedat4_fields(content: bytes) -> tuple[int, int, int]:
    """Places in a real file: of the packing, of the index's place, and where packets begin."""
    base = len(MAGIC) + 4
    table = base + struct.unpack_from("<I", content, base)[0]
    fields = table - struct.unpack_from("<i", content, table)[0]
    packing, index = (struct.unpack_from("<H", content, fields + 4 + 2 * k)[0] for k in (0, 1))
    assert packing, "the real file sets both fields"
    assert index, "the real file sets both fields"
    return table + packing, table + index, base + struct.unpack_from("<I", content, base - 4)[0]


def aedat4_header(content: bytes, packing: int, sensor: tuple[int, int] = (240, 320)) -> bytes:
    """The header of a real file (240 x 320) with another packing, and no index at the end."""
    changed = bytearray(content)
    packing_place, index_place, start = aedat4_fields(content)
    struct.pack_into("<i", changed, packing_place, packing)
    struct.pack_into("<q", changed, index_place, -1)
    text = bytes(changed[:start]).replace(b">240<", b">%03d<" % sensor[0])
    return text.replace(b">320<", b">%03d<" % sensor[1])


def write_aedat4(events: Events, path: Path, real: Path) -> Path:
    """Packets of 10,000 events, not compressed; stream 0 is that of the events."""
    kind = {
        "names": ["t", "x", "y", "on"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
    table = np.zeros(len(events), kind)
    for name in ("t", "x", "y"):
        table[name] = getattr(events, name)
    table["on"] = events.polarity
    with path.open("wb") as file:
        file.write(aedat4_header(real.read_bytes(), 0, events.sensor))
        for first in range(0, len(events), 10_000):
            part = table[first : first + 10_000]
            # root, name; field table; the table with a reference to the vector; the vector
            body = struct.pack("<I4sHHHHiII", 16, b"EVTS", 6, 8, 4, 0, 8, 4, len(part))
            body += part.tobytes()
            file.write(struct.pack("<iiI", 0, len(body) + 4, len(body)) + body)
    return path


def test_aedat4_that_was_written_is_read(recordings: Path, tmp_path: Path) -> None:
    events = random_events(25_000)
    real = recordings / "tonic_sample.aedat4"
    assert same(read_recording(write_aedat4(events, tmp_path / "a.aedat4", real)), events)


@pytest.mark.parametrize(
    ("packing", "pack"), [(0, bytes), (3, zstandard.ZstdCompressor().compress)]
)
def test_aedat4_in_other_packings_gives_the_same_events(
    recordings: Path, tmp_path: Path, packing: int, pack: Callable[[bytes], bytes]
) -> None:
    real = recordings / "tonic_sample.aedat4"
    content = real.read_bytes()
    _, index_place, place = aedat4_fields(content)
    (end,) = struct.unpack_from("<q", content, index_place)
    other = tmp_path / "a.aedat4"
    with other.open("wb") as file:
        file.write(aedat4_header(content, packing))
        while place < end:
            stream, length = struct.unpack_from("<ii", content, place)
            packed = content[place + 8 : place + 8 + length]
            place += 8 + length
            plain = pack(lz4.frame.decompress(packed))
            file.write(struct.pack("<ii", stream, len(plain)) + plain)
    assert same(read_recording(other), read_recording(real))


@pytest.mark.parametrize("kept", [5, 100, 3_500, 100_000, 300_000])
def test_truncated_aedat4_is_named(recordings: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.aedat4"
    path.write_bytes((recordings / "tonic_sample.aedat4").read_bytes()[:kept])
    with pytest.raises(LavasegError, match=r"cut\.aedat4 is (truncated|no AEDAT4)"):
        read_recording(path)


@pytest.mark.parametrize("name", ["evlib_sample.aedat4", "expelliarmus_evt3_sample.raw"])
def test_damaged_bytes_give_events_or_an_error_that_names_the_file(
    recordings: Path, tmp_path: Path, name: str
) -> None:
    whole = (recordings / name).read_bytes()
    path = tmp_path / name
    messages = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 20))):
            limit = len(content) if rng.random() < 0.5 else 4_000
            content[int(rng.integers(limit))] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            assert len(read_recording(path)) <= 1.01 * len(whole)
        except LavasegError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all(name in message for message in messages)


RAW = b"% evt 3.0\n% geometry 64x48\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.raw", RAW + b"abc", "truncated: it ends with 1 bytes of a word of evt3"),
        ("a.raw", RAW, "holds no events"),
        ("a.raw", b"% evt 2.1\n% geometry 64x48\n" + b"\x50" * 8, "no words of type 5"),
        ("a.raw", b"% evt 2.1\n% geometry 64x48\nab", "ends with 2 bytes of a word of evt21"),
        ("a.raw", b"% evt 4.0\n", "no Prophesee recording in EVT 2, 2.1 or 3: .*'evt4'"),
        ("a.raw", b"\x89PNG", "no Prophesee recording"),
        ("a.raw", b"% evt 3.0\n% geometry 64\n", "damaged header"),
        ("a.raw", b"% evt 3.0\nab", "does not say how large its sensor is"),
        ("a.bin", b"", "holds no events"),
        ("a.bin", b"\1\2\3\4\5\6", "truncated: it ends with 1 bytes"),
        ("a.bin", bytes([200, 2, 0, 0, 1]), "event 0 has x = 200 on a sensor of 48 x 64"),
        ("a.bin", bytes([1, 2, 0, 0, 9, 1, 2, 0, 0, 8]), "backwards at event 1, from 9 to 8 µs"),
        ("a.txt", b"", "holds no events"),
        ("a.txt", b"1 2 3\n", "line 't x y p'.*3 numbers in a line"),
        ("a.txt", b"1 2 3 7\n", "polarity that is not 0, 1 or -1"),
        ("a.txt", b"u x y p\n1 2 3 1\n", "header row is 'u x y p'"),
        ("a.txt", b"32 24\n1 2 3 1\n", "of a sensor of 24 x 32 pixels, expected 48 x 64"),
        ("a.txt", b"\xff\xfe\x00", "no text file"),
        ("a.aedat4", b"#!AER-DAT2.0\r\n", "no AEDAT4 recording"),
        ("a.png", b"", "no recording of events: expected a name that ends in .aedat4"),
    ],
)
def test_wrong_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    said = None if "does not say" in message else (48, 64)
    with pytest.raises(LavasegError, match=rf"{path.name}.*{message}"):
        read_recording(path, said)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LavasegError, match=r"no recording .*a\.raw"):
        read_recording(tmp_path / "a.raw")


def test_time_running_backwards_between_two_pieces_is_named(tmp_path: Path) -> None:
    table = np.zeros((2**16 + 1, 5), np.uint8)
    table[:-1, 4] = 9
    path = tmp_path / "a.bs2"
    path.write_bytes(table.tobytes())
    with pytest.raises(LavasegError, match=r"a\.bs2: time runs backwards, from 9 to 0 µs"):
        read_recording(path, (34, 34))


@pytest.mark.parametrize("piece", [7, 1_000, 5_000])
def test_parts_of_equal_time_are_the_recording(piece: int) -> None:
    events = random_events()
    pieces = [events.numbered(k, k + piece) for k in range(0, len(events), piece)]
    parts = list(cut(pieces, time=30_000))
    assert [part.span[1] - part.span[0] for part in parts] == [30_000] * 6
    assert parts[0].span[0] == events.t[0]
    for part in parts:
        assert same(part, events.between(*part.span))
    assert len(parts[-1]) > 0


@pytest.mark.parametrize("piece", [7, 1_000, 5_000])
def test_parts_of_equal_count_are_the_recording(piece: int) -> None:
    events = random_events()
    pieces = [events.numbered(k, k + piece) for k in range(0, len(events), piece)]
    parts = list(cut(pieces, count=1_250))
    assert len(parts) == 4
    assert same(joined(parts), events)


def test_recording_shorter_than_a_part_is_one_part() -> None:
    events = random_events()
    for parts in (cut([events], time=10**9), cut([events], count=10**9), cut([events])):
        (only,) = parts
        assert same(only, events)


def evenly(count: int) -> Events:
    """Events in 8 seconds, as many as asked for."""
    place = np.arange(count)
    return Events(place * 8_000_000 // count, place % 64, place % 48, place % 3 > 0, (48, 64))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(
    ("write", "name"), [(write_5_bytes, "a.bin"), (evt2, "a.raw"), (write_aedat4, "a.aedat4")]
)
def test_memory_does_not_grow_with_the_file(
    recordings: Path, tmp_path: Path, write: Callable[..., Path], name: str
) -> None:
    """Peak memory of a process that streams a file, and one ten times as long."""
    code = (
        "import sys; from lavaseg.data.event_files import stream_recording\n"
        "print(sum(len(piece) for piece in stream_recording(sys.argv[1], (48, 64))))\n"
        "status = open('/proc/self/status').read()\n"
        "print(1024 * int(status.split('VmHWM:')[1].split()[0]))\n"
    )
    peaks, sizes = [], []
    for count in (300_000, 3_000_000):
        path = tmp_path / name
        if write is write_aedat4:
            write_aedat4(evenly(count), path, recordings / "tonic_sample.aedat4")
        else:
            write(evenly(count), path)
        command = [sys.executable, "-c", code, str(path)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(found[0]) == count
        peaks.append(int(found[1]))
        sizes.append(path.stat().st_size)
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 4
