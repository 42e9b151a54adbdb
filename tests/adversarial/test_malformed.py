"""Outputs that are broken in every way we can think of, and in many that chance thinks of: each is refused with a code and a
sentence or is a volume or value on the right grid; never another exception, never much memory, never long."""

# ruff: noqa: E501  # tables read better with an entry a line
from __future__ import annotations

import gzip
import json
import os
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import geometry, image, references, scoring, validation
from benchmark.contract import Limits, Socket
from benchmark.dataset import Edition
from benchmark.errors import CATALOGUE, SubmissionError, in_words
from benchmark.image import Volume
from benchmark.tasks import TaskFolder

SECONDS = 3.0
"""For one broken file of some kilobytes; a healthy one takes milliseconds."""
MEMORY = 150 * 2**20
"""Bytes that Python and NumPy may take at their peak for one output: the toy task's largest file has 4 MiB."""
CASE = "c5"
LIMITS = Limits(output_mb=4)
POINTS = Socket(slug="points", kind="points", path="points.json")

GRID = Volume(np.arange(480, dtype=np.int16).reshape(6, 8, 10), (2.0, 1.5, 1.0), (10.0, -20.0, 5.0))
"""The toy task's grid."""


@dataclass(frozen=True)
class Checked:
    """What came of one output."""

    code: str
    """A code of the submission group; empty where it can be scored."""
    sentence: str = ""


@pytest.fixture(scope="module")
def check(toy: TaskFolder, toy_edition: Edition) -> Callable[[Path], Checked]:
    """Read, check and score an output folder as the harness does; fails when anything but a `SubmissionError` comes out."""
    task = toy.task.model_copy(update={"limits": LIMITS})
    case = toy_edition.case(CASE)
    cache = references.ReferenceCache()
    grid = references.read_reference(task, toy_edition, case).grid
    assert grid is not None and not geometry.difference(grid, GRID)

    def read(folder: Path) -> Checked:
        def finder(_: object, socket: Socket) -> Path:
            return validation.output_file(folder, socket)

        tracemalloc.start()
        begin = time.process_time()
        try:
            reference = references.read_reference(task, toy_edition, case)
            try:
                inputs = scoring.case_inputs(task, case, reference, finder)
            except SubmissionError as error:
                found = Checked(error.code, error.sentence)
            else:
                found = Checked("")
                assert inputs.prediction.shape == grid.array.shape and inputs.prediction.dtype.kind in "iufb"
            took, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        told(found)
        assert took < SECONDS and peak < MEMORY, f"{took:.1f} s, {peak // 2**20} MiB"
        # The whole way: a row for each metric, with the same code, and numbers or the declared worst values in it.
        scored = scoring.score_cases(task, toy_edition, [case], finder, cache=cache, hints=True)
        assert {score.metric for score in scored.scores} == {"mae", "psnr"}
        for score in scored.scores:
            assert score.reason.startswith(f"{found.code}: " if found.code else ("non_finite", "")), score
            assert not np.isnan(score.value)
            assert (score.status in ("missing", "invalid")) == bool(score.reason)
        # On a sealed case nothing that the file says comes back: a reason is one of a few fixed sentences.
        assert case.split == "test"
        sealed = scoring.score_cases(task, toy_edition, [case], finder, cache=cache)
        assert {score.reason for score in sealed.scores} <= FIXED
        assert [score.value for score in sealed.scores] == [score.value for score in scored.scores]
        return found

    return read


FIXED = {"", *(f"{code}: {in_words('submission', code)}" for code in CATALOGUE["submission"])}
"""All that may be said of a sealed case."""


@given(st.text(max_size=40), st.sampled_from(sorted(CATALOGUE["submission"])))
def test_a_sealed_reason_is_fixed_words(text: str, code: str) -> None:
    assert scoring.sealed_reason(f"{code}: {text}") in FIXED
    assert scoring.sealed_reason(f"missed: {text}1") == "missed"
    assert scoring.sealed_reason("") == ""


def told(found: Checked) -> None:
    """A refusal has a declared code and one line that a person can read and act on."""
    assert scoring.sealed_reason(f"{found.code}: {found.sentence}" if found.code else "") in FIXED
    if found.code:
        assert found.code in CATALOGUE["submission"]
        assert len(found.sentence) < 1000, found.sentence
        assert found.sentence.isprintable(), found.sentence
        assert CATALOGUE["submission"][found.code].action in found.sentence


def mha(volume: Volume = GRID, *, compress: bool = False, **changes: str | None) -> bytes:
    """An .mha of that volume, with lines of its header changed, added, or left out where the value is None."""
    z, y, x = volume.array.shape
    data = volume.array.tobytes()
    payload = zlib.compress(data) if compress else data
    lines: dict[str, str | None] = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compress), "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "10 -20 5",
        "ElementSpacing": "1 1.5 2", "DimSize": f"{x} {y} {z}", "ElementType": "MET_SHORT",
    }  # fmt: skip
    last = changes.pop("ElementDataFile", "LOCAL")
    lines |= changes
    text = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    return f"{text}ElementDataFile = {last}\n".encode("utf-8", "surrogateescape") + payload


def nifti(data: bytes | None = None, **fields: Any) -> bytes:
    """A .nii on the grid, with fields of its header changed: `dim`, `datatype`, `bitpix`, `pixdim`, `vox_offset`, …"""
    places = {
        "sizeof_hdr": (0, "<i"), "dim": (40, "<8h"), "datatype": (70, "<h"), "bitpix": (72, "<h"), "pixdim": (76, "<8f"),
        "vox_offset": (108, "<f"), "scl_slope": (112, "<f"), "scl_inter": (116, "<f"), "xyzt_units": (123, "<B"),
        "qform_code": (252, "<h"), "sform_code": (254, "<h"), "quatern": (256, "<3f"), "qoffset": (268, "<3f"),
        "srow": (280, "<12f"), "magic": (344, "<4s"),
    }  # fmt: skip
    values: dict[str, Any] = {
        "sizeof_hdr": 348, "dim": (3, 10, 8, 6, 1, 1, 1, 1), "datatype": 4, "bitpix": 16, "pixdim": (1, 1, 1.5, 2, 1, 1, 1, 1),
        "vox_offset": 352, "scl_slope": 1, "xyzt_units": 2, "sform_code": 1, "magic": b"n+1\0",
        "srow": (-1, 0, 0, -10, 0, -1.5, 0, 20, 0, 0, 2, 5),
    }  # fmt: skip
    head = bytearray(352)
    for name, value in (values | fields).items():
        offset, form = places[name]
        struct.pack_into(form, head, offset, *(value if isinstance(value, tuple) else (value,)))
    return bytes(head) + (GRID.array.tobytes() if data is None else data)


def place(folder: Path, content: bytes, name: str) -> Path:
    """Put a file where the toy task's output is looked for; the output folder."""
    target = folder / "images" / "clean"
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    (target / name).write_bytes(content)
    return folder


NAN, INF = float("nan"), float("inf")
LIES: dict[str, dict[str, Any]] = {
    "sizes": {"DimSize": "99999 99999 99999"}, "size beyond integers": {"DimSize": f"{2**63} 8 6"},
    "sizes that overflow": {"DimSize": "4294967296 4294967296 4294967296"}, "negative size": {"DimSize": "-10 8 6"},
    "no size": {"DimSize": None}, "empty size": {"DimSize": ""}, "zero size": {"DimSize": "0 8 6"}, "one size": {"DimSize": "10"},
    "size in words": {"DimSize": "ten eight six"}, "size NaN": {"DimSize": "nan 8 6"}, "too small": {"DimSize": "9 8 6"},
    "too large": {"DimSize": "11 8 6"}, "axes 0": {"NDims": "0"}, "axes 2": {"NDims": "2"}, "axes 4": {"NDims": "4"},
    "axes -3": {"NDims": "-3"}, "axes 1e9": {"NDims": "1000000000"}, "axes in words": {"NDims": "three"}, "no axes": {"NDims": None},
    "type of another size": {"ElementType": "MET_DOUBLE"}, "unknown type": {"ElementType": "MET_WORDS"},
    "type of text": {"ElementType": "MET_STRING"}, "no type": {"ElementType": None}, "array type": {"ElementType": "MET_SHORT_ARRAY"},
    "colour": {"ElementNumberOfChannels": "3"}, "channels -1": {"ElementNumberOfChannels": "-1"},
    "channels 1e9": {"ElementNumberOfChannels": "1000000000"}, "spacing 0": {"ElementSpacing": "0 0 0"},
    "spacing NaN": {"ElementSpacing": "nan nan nan"}, "spacing infinite": {"ElementSpacing": "inf 1 1"},
    "negative spacing": {"ElementSpacing": "-1 1.5 2"}, "huge spacing": {"ElementSpacing": "1e308 1e308 1e308"},
    "tiny spacing": {"ElementSpacing": "1e-320 1 1"}, "one spacing": {"ElementSpacing": "1"}, "no spacing": {"ElementSpacing": None},
    "spacing in words": {"ElementSpacing": "a b c"}, "comma spacing": {"ElementSpacing": "1,0 1,5 2,0"},
    "origin NaN": {"Offset": "nan 0 0"}, "huge origin": {"Offset": "1e308 -1e308 1e308"}, "origin in words": {"Offset": "x y z"},
    "no origin": {"Offset": None}, "axes all zero": {"TransformMatrix": "0 0 0 0 0 0 0 0 0"},
    "axes NaN": {"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}, "axes sheared": {"TransformMatrix": "1 1 0 0 1 0 0 0 1"},
    "axes cut": {"TransformMatrix": "1 0 0"}, "axes turned": {"TransformMatrix": "-1 0 0 0 -1 0 0 0 1"},
    "compressed, as it says": {"CompressedData": "True"}, "compressed of negative size": {"CompressedData": "True", "CompressedDataSize": "-5"},
    "compressed of no number": {"CompressedData": "True", "CompressedDataSize": "all"},
    "other byte order": {"BinaryDataByteOrderMSB": "True"}, "text": {"BinaryData": "False"}, "not an image": {"ObjectType": "Tube"},
    "voxels in a file of the host": {"ElementDataFile": "/etc/passwd"}, "voxels one folder up": {"ElementDataFile": "../../x"},
    "voxels in a list": {"ElementDataFile": "LIST"}, "voxels in a pattern": {"ElementDataFile": "%d.raw 1 999999999 1"},
    "voxels in itself": {"ElementDataFile": "x.mha"}, "voxels nowhere": {"ElementDataFile": ""}, "voxels in a folder": {"ElementDataFile": "."},
    "header size": {"HeaderSize": "-1"}, "header size lies": {"HeaderSize": "999999999"}, "header size in words": {"HeaderSize": "some"},
    "escape codes": {"ElementSpacing": "\x1b[2J\x07 1 1"}, "escape codes in a name": {"ElementDataFile": "\x1b]0;x\x07.raw"},
    "a long line": {"Comment": "x" * 70000}, "a long number": {"DimSize": "9" * 5000 + " 8 6"}, "a NUL": {"Comment": "\0"},
    "not text": {"Comment": "\udcff\udcfe"}, "long spacing": {"ElementSpacing": "1" * 3000 + "x 1 1"},
}  # fmt: skip

FIELDS: dict[str, dict[str, Any]] = {
    "sizes": {"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)}, "seven axes": {"dim": (7, 32767, 32767, 32767, 32767, 32767, 32767, 32767)},
    "negative sizes": {"dim": (3, -10, 8, 6, 1, 1, 1, 1)}, "no axis": {"dim": (0, 0, 0, 0, 0, 0, 0, 0)}, "eight axes": {"dim": (8, 10, 8, 6, 1, 1, 1, 1)},
    "negative axes": {"dim": (-3, 10, 8, 6, 1, 1, 1, 1)}, "three volumes": {"dim": (4, 10, 8, 2, 3, 1, 1, 1)}, "too small": {"dim": (3, 9, 8, 6, 1, 1, 1, 1)},
    "colour": {"datatype": 128, "bitpix": 24}, "complex": {"datatype": 32, "bitpix": 64}, "long double": {"datatype": 1536, "bitpix": 128},
    "binary": {"datatype": 1, "bitpix": 1}, "unknown type": {"datatype": 77}, "no type": {"datatype": 0}, "another size": {"datatype": 64, "bitpix": 64},
    "offset inside": {"vox_offset": 4}, "offset beyond": {"vox_offset": 1e9}, "offset NaN": {"vox_offset": NAN}, "offset infinite": {"vox_offset": INF},
    "offset negative": {"vox_offset": -352}, "offset huge": {"vox_offset": 3e38}, "scale NaN": {"scl_slope": NAN}, "scale huge": {"scl_slope": 3e38},
    "scale infinite": {"scl_slope": INF, "scl_inter": 1}, "shift NaN": {"scl_slope": 2, "scl_inter": NAN}, "scale tiny": {"scl_slope": 1e-38},
    "axes NaN": {"srow": (NAN,) * 12}, "axes zero": {"srow": (0,) * 12}, "axes infinite": {"srow": (INF,) * 12}, "axes huge": {"srow": (3e38,) * 12},
    "no axes": {"sform_code": 0}, "quaternion too long": {"sform_code": 0, "qform_code": 1, "quatern": (5, 5, 5)},
    "quaternion NaN": {"sform_code": 0, "qform_code": 1, "quatern": (NAN, 0, 0)}, "spacing NaN": {"sform_code": 0, "pixdim": (NAN,) * 8},
    "spacing negative": {"sform_code": 0, "pixdim": (1, -1, -1, -1, 1, 1, 1, 1)}, "spacing zero": {"sform_code": 0, "pixdim": (0,) * 8},
    "metres": {"xyzt_units": 1}, "unknown units": {"xyzt_units": 7}, "voxels elsewhere": {"magic": b"ni1\0"}, "no magic": {"magic": b"\0\0\0\0"},
    "NIfTI-2": {"sizeof_hdr": 540}, "other byte order": {"sizeof_hdr": 0x5C010000}, "no header": {"sizeof_hdr": -1},
    "code out of range": {"sform_code": 32767, "qform_code": -5},
}  # fmt: skip

FINE = {  # what a reader may take for a volume on the right grid, since it is one or says nothing against it
    "mha compressed", "mha other byte order", "mha not an image", "mha header size", "mha header size lies", "mha header size in words",
    "mha a NUL", "mha not text", "mha no axes",
    "nii scale NaN", "nii scale huge", "nii scale tiny", "nii unknown units", "nii code out of range", "nii eight axes",
    "nii scale infinite", "nii another size", "nii extension that says nothing", "nii extension that promises more",
    "nii extension that of negative size", "nii extension that with words", "NaN with a message in it",
}  # fmt: skip


def _files() -> dict[str, tuple[str, bytes]]:
    """By name: the suffix and the bytes of a broken output."""
    bomb = b"".join(
        [gzip.compress(nifti(b"", dim=(3, 1024, 1024, 512, 1, 1, 1, 1))), gzip.compress(bytes(2**24), 9) * 64]
    )
    zeros = zlib.compress(bytes(2**24), 9)
    raw = nifti()
    files = {
        **{f"mha {name}": (".mha", mha(**changes)) for name, changes in LIES.items()},
        **{f"nii {name}": (".nii", nifti(**changes)) for name, changes in FIELDS.items()},
        **{f"nii.gz {name}": (".nii.gz", gzip.compress(nifti(**changes))) for name, changes in FIELDS.items()},
        "bomb in gzip": (".nii.gz", bomb),
        "bomb in zlib": (".mha", mha(compress=False, CompressedData="True", DimSize="512 512 64")[: -GRID.array.nbytes] + zeros),
        "bomb beyond what is promised": (".mha", mha(CompressedData="True")[: -GRID.array.nbytes] + zeros),
        "gzip in gzip": (".nii.gz", gzip.compress(gzip.compress(raw))),
        "gzip with a wrong check sum": (".nii.gz", gzip.compress(raw)[:-8] + bytes(8)),
        "gzip cut": (".nii.gz", gzip.compress(raw)[:-20]),
        "gzip with a tail": (".nii.gz", gzip.compress(raw) + b"tail"),
        "zeros": (".nii", bytes(10000)), "ones": (".mha", b"\xff" * 10000), "empty mha": (".mha", b""), "empty nii": (".nii", b""),
        "empty nii.gz": (".nii.gz", b""), "line ends": (".mha", b"\n" * 10000), "equals": (".mha", b"=" * 10000),
        "a program": (".mha", b"\x7fELF" + bytes(100)), "an archive": (".nii.gz", b"PK\3\4" + bytes(100)), "an object": (".nii", b"\x80\4\x95" + bytes(400)),
        "a web page": (".mha", b"<html><body>429 Too Many Requests</body></html>"), "a table": (".mha", b"ElementDataFile,LOCAL\n1,2\n"),
        "mha under the name of nii": (".nii", mha()), "nii under the name of mha": (".mha", raw), "plain under the name of gz": (".mha.gz", mha()),
        "an unknown kind": (".npy", b"\x93NUMPY\1\0"), "a pickle": (".pkl", b"\x80\4."), "no kind": ("", mha()), "mhd": (".mhd", mha()),
    }  # fmt: skip
    for name, extension in {
        "says nothing": b"",
        "promises more": struct.pack("<ii", 2**31 - 16, 6),
        "of negative size": struct.pack("<ii", -16, 6),
        "with words": struct.pack("<ii", 32, 6) + b"\x1b[2J<script>".ljust(24),
    }.items():
        # A header's extensions lie between header and voxels; nobody reads them.
        head = bytearray(nifti(b"", vox_offset=352 + len(extension)))
        head[348] = 1
        files[f"nii extension that {name}"] = (".nii", bytes(head) + extension + GRID.array.tobytes())
    quiet = np.full(GRID.array.shape, np.nan, np.float32).view(np.uint32)
    quiet[:] |= np.frombuffer(b"secret" * 80, np.uint8).reshape(GRID.array.shape)  # NaN has room for 22 bits of message
    files["NaN with a message in it"] = (".nii", nifti(quiet.tobytes(), datatype=16, bitpix=32))
    return files


FILES = _files()


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_told(check: Callable[[Path], Checked], tmp_path: Path, name: str) -> None:
    suffix, content = FILES[name]
    found = check(place(tmp_path, content, f"x{suffix}"))
    expected = name in FINE or name.replace("nii.gz ", "nii ") in FINE
    assert expected or found.code in ("unreadable", "geometry", "not_scalar", "not_numeric"), found


JSONS: dict[str, bytes] = {
    "a key twice": b'{"type": "Multiple points", "type": "Multiple points", "points": []}',
    "a key twice, below": b'{"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": 0, "probability": 1}]}',
    "NaN": b'{"type": "Multiple points", "points": [{"point": [NaN, 2, 3], "probability": 0.5}]}',
    "infinity": b'{"type": "Multiple points", "points": [{"point": [1, 2, -Infinity], "probability": 0.5}]}',
    "number beyond floats": b'{"type": "Multiple points", "points": [{"point": [1e999, 2, 3], "probability": 0.5}]}',
    "integer beyond floats": b'{"type": "Multiple points", "points": [{"point": [1' + b"0" * 400 + b', 2, 3], "probability": 0.5}]}',
    "integer of many digits": b'{"type": "Multiple points", "points": [{"point": [1' + b"0" * 9000 + b', 2, 3], "probability": 0.5}]}',
    "a probability of many digits": b'{"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": 1' + b"0" * 400 + b"}]}",
    "depth in lists": b"[" * 200000, "depth in lists, closed": b"[" * 100000 + b"]" * 100000, "depth in objects": b'{"a":' * 100000,
    "depth in a point": b'{"type": "Multiple points", "points": [{"point": ' + b"[" * 900 + b"]" * 900 + b', "probability": 1}]}',
    "empty": b"", "space": b" \n", "cut": b'{"type": "Multiple points", "poi', "two values": b"{} {}", "no quotes": b"{type: 1}", "a comma too many": b"[1,]",
    "UTF-16": '{"type": "Multiple points", "points": []}'.encode("utf-16"), "byte order mark": b'\xef\xbb\xbf{"type": "Multiple points", "points": []}',
    "not text": b"\xff\xfe\x00", "a NUL": b"\0", "half a pair": b'{"type": "\\ud800", "points": []}', "escape codes": b'{"type": "Multiple points", "points": ["\x1b[2J"]}',
    "a list": b"[]", "a word": b'"points"', "a number": b"1", "null": b"null", "another type": b'{"type": "Point", "points": []}',
    "no points": b'{"type": "Multiple points"}', "points that are none": b'{"type": "Multiple points", "points": {"a": 1}}',
    "points of numbers": b'{"type": "Multiple points", "points": [1, 2]}', "points of null": b'{"type": "Multiple points", "points": [null]}',
    "two coordinates": b'{"type": "Multiple points", "points": [{"point": [1, 2], "probability": 0.5}]}',
    "coordinates in words": b'{"type": "Multiple points", "points": [{"point": ["1", "2", "3"], "probability": 0.5}]}',
    "coordinates of truth": b'{"type": "Multiple points", "points": [{"point": [true, false, true], "probability": 0.5}]}',
    "no probability": b'{"type": "Multiple points", "points": [{"point": [1, 2, 3]}]}',
    "probability of 2": b'{"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": 2}]}',
    "probability below": b'{"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": -1e-300}]}',
    "probability in words": b'{"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": "high"}]}',
    "a key twice, written in two ways": b'{"type": "Multiple points", "\\u0074ype": "x", "points": []}',
    "a key that looks like another": '{"type": "Multiple points", "p\u043eints": []}'.encode(), "a type in wide letters": '{"type": "\uff2dultiple points", "points": []}'.encode(),
    "words from right to left": '{"type": "\u202eMultiple points", "points": []}'.encode(), "digits of another script": '{"type": "Multiple points", "points": [{"point": [\u0661, 2, 3], "probability": 0.5}]}'.encode(),
    "a point below the point": b'{"type": "Multiple points", "points": [{"point": {"point": [1, 2, 3]}, "probability": 0.5}]}',
    "exponent without end": b'{"type": "Multiple points", "points": [{"point": [1e' + b"9" * 5000 + b', 2, 3], "probability": 0.5}]}',
    "a number in hexadecimal": b'{"type": "Multiple points", "points": [{"point": [0x10, 2, 3], "probability": 0.5}]}', "a number with a plus": b'{"type": "Multiple points", "points": [{"point": [+1, 2, 3], "probability": 0.5}]}',
    "a remark": b'{"type": "Multiple points", /* x */ "points": []}', "lists in the place of numbers": b'{"type": "Multiple points", "points": [{"point": [[1], [2], [3]], "probability": 0.5}]}',
    "a long word": b'{"type": "' + b"x" * 100000 + b'", "points": []}', "a long point": b'{"type": "Multiple points", "points": [{"point": "' + b"x" * 100000 + b'"}]}',
}  # fmt: skip


def read_points(folder: Path, toy: TaskFolder, content: bytes) -> Checked:
    """Read a JSON output of points as the harness does; anything but a `SubmissionError` passes through."""
    (folder / POINTS.path).write_bytes(content)
    begin = time.process_time()
    try:
        value = validation.read_prediction(validation.output_file(folder, POINTS), toy.task, POINTS, None)
    except SubmissionError as error:
        found = Checked(error.code, error.sentence)
    else:
        validation.check_points(value, "again")
        assert json.loads(json.dumps(value, allow_nan=False)) == value
        found = Checked("")
    assert time.process_time() - begin < SECONDS
    told(found)
    return found


@pytest.mark.parametrize("name", JSONS)
def test_a_broken_value_is_told(toy: TaskFolder, tmp_path: Path, name: str) -> None:
    assert read_points(tmp_path, toy, JSONS[name]).code in ("unreadable", "schema")


def test_a_large_value_is_not_parsed(toy: TaskFolder, tmp_path: Path) -> None:
    """A task that allows large volumes allows no large JSON, which takes many times its size in memory."""
    task = toy.task.model_copy(update={"limits": Limits(output_mb=512)})
    with (tmp_path / "points.json").open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(SubmissionError, match="17 MiB; expected at most 16 MiB") as caught:
        validation.read_prediction(tmp_path / "points.json", task, POINTS, None)
    assert caught.value.code == "output_too_large"


def _link_folder(folder: Path) -> None:
    (folder / "else").mkdir()
    place(folder / "else", mha(), "x.mha")
    (folder / "images").symlink_to(folder / "else" / "images")


def _link_chain(folder: Path) -> None:
    place(folder, mha(), "x.mha")
    (folder / "images/clean/x.mha").rename(folder / "real.mha")
    (folder / "one").symlink_to("real.mha")
    (folder / "images/clean/x.mha").symlink_to("../../one")


def _in_clean(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "images/clean").mkdir(parents=True)
        make(folder / "images/clean")

    return spoil


TREES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda f: None, "missing"),
    "a folder above": (lambda f: (f / "images").mkdir(), "missing"),
    "an empty folder": (_in_clean(lambda c: None), "missing"),
    "a file in the place of the folder": (lambda f: (f / "images").write_bytes(mha()), "missing"),
    "a file in the place of the inner folder": (lambda f: ((f / "images").mkdir(), (f / "images/clean").write_bytes(mha())), "missing"),
    "hidden files": (_in_clean(lambda c: (c / ".x.mha").write_bytes(mha())), "missing"),
    "a linked folder": (_link_folder, "unreadable"),
    "a chain of links": (_link_chain, "unreadable"),
    "a link to nothing": (_in_clean(lambda c: (c / "x.mha").symlink_to("/no/such/file")), "unreadable"),
    "a link to itself": (_in_clean(lambda c: (c / "x.mha").symlink_to("x.mha")), "unreadable"),
    "a link to the system": (_in_clean(lambda c: (c / "x.mha").symlink_to("/etc/passwd")), "unreadable"),
    "a link to a device": (_in_clean(lambda c: (c / "x.mha").symlink_to("/dev/zero")), "unreadable"),
    "a pipe": (_in_clean(lambda c: os.mkfifo(c / "x.mha")), "unreadable"),
    "a folder": (_in_clean(lambda c: (c / "x.mha").mkdir()), "unreadable"),
    "a series": (_in_clean(lambda c: [(c / f"{n}.dcm").write_bytes(b"DICM") for n in range(20)]), "extra_output"),
    "two volumes": (_in_clean(lambda c: [(c / n).write_bytes(mha()) for n in ("a.mha", "b.mha")]), "extra_output"),
    "names of many letters": (_in_clean(lambda c: [(c / (n * 250)).write_bytes(b"") for n in "abcd"]), "extra_output"),
    "names that move the cursor": (_in_clean(lambda c: [(c / f"\x1b[2J\n{n}").write_bytes(b"") for n in "ab"]), "extra_output"),
    "a name that moves the cursor": (_in_clean(lambda c: (c / "\x1b[2J\r\n.mha").write_bytes(b"")), "unreadable"),
    "a name that is not text": (_in_clean(lambda c: Path(os.fsdecode(os.fsencode(c) + b"/\xff.mha")).write_bytes(b"")), "unreadable"),
    "a sparse file": (_in_clean(lambda c: _sparse(c / "x.mha", 2**40)), "output_too_large"),
    "a file just too large": (_in_clean(lambda c: _sparse(c / "x.mha", 4 * 2**20 + 1)), "output_too_large"),
}  # fmt: skip


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as handle:
        handle.truncate(size)


@pytest.mark.parametrize("name", TREES)
def test_a_broken_tree_is_told(check: Callable[[Path], Checked], tmp_path: Path, name: str) -> None:
    spoil, code = TREES[name]
    spoil(tmp_path)
    assert check(tmp_path).code == code


PROPERTY = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
"""60 files a property, the same at every run: six properties make more than the 150 that this is for."""

WHOLE = {
    "x.mha": mha(), "y.mha": mha(compress=True, CompressedData="True"), "x.nii": nifti(), "x.nii.gz": gzip.compress(nifti(), mtime=0),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_ones_are_taken(check: Callable[[Path], Checked], tmp_path: Path, name: str) -> None:
    """Else the files above and below would be refused for nothing that was done to them."""
    assert check(place(tmp_path, WHOLE[name], name)).code == ""


@PROPERTY
@given(name=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 0.999))
def test_any_cut_is_refused(check: Callable[[Path], Checked], tmp_path: Path, name: str, share: float) -> None:
    content = WHOLE[name]
    assert check(place(tmp_path, content[: int(share * len(content))], name)).code == "unreadable"


@PROPERTY
@given(
    name=st.sampled_from(sorted(WHOLE)),
    flips=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 7)), min_size=1, max_size=8),
)
def test_any_flipped_bits(
    check: Callable[[Path], Checked], tmp_path: Path, name: str, flips: list[tuple[float, int]]
) -> None:
    """A third of them in the first 400 bytes, where the header is."""
    content = bytearray(WHOLE[name])
    for number, (share, bit) in enumerate(flips):
        end = len(content) if number % 3 else min(len(content), 400)
        content[int(share * end)] ^= 1 << bit
    check(place(tmp_path, bytes(content), name))


@PROPERTY
@given(
    fields=st.dictionaries(
        st.sampled_from(sorted({"NDims", "DimSize", "ElementType", "ElementSpacing", "Offset", "TransformMatrix", "CompressedData",
                                "CompressedDataSize", "ElementNumberOfChannels", "BinaryDataByteOrderMSB", "HeaderSize",
                                "ElementDataFile", "ElementSize", "Modality", "ElementMin"})),
        st.one_of(
            st.lists(st.integers(-(2**70), 2**70), max_size=5).map(lambda v: " ".join(map(str, v))),
            st.lists(st.floats(), max_size=10).map(lambda v: " ".join(map(str, v))),
            st.sampled_from(["True", "False", "LOCAL", "LIST", "MET_DOUBLE", "MET_LONG_LONG", "MET_FLOAT_ARRAY", "", "/etc/passwd"]),
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30),
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_any_lie_in_a_metaimage(check: Callable[[Path], Checked], tmp_path: Path, fields: dict[str, Any]) -> None:
    check(place(tmp_path, mha(**fields), "x.mha"))


@PROPERTY
@given(head=st.binary(min_size=344, max_size=344), kept=st.integers(0, 3), gzipped=st.booleans())
def test_any_lie_in_a_nifti(
    check: Callable[[Path], Checked], tmp_path: Path, head: bytes, kept: int, gzipped: bool
) -> None:
    """Any bytes for a header; more and more of a true one, so that what lies behind the first check is reached as well."""
    true = nifti()
    spans = ((0, 4), (40, 72), (108, 112))[:kept]
    content = bytearray(head + b"n+1\0" + true[348:])
    for first, last in spans:
        content[first:last] = true[first:last]
    check(
        place(
            tmp_path, gzip.compress(bytes(content)) if gzipped else bytes(content), "x.nii.gz" if gzipped else "x.nii"
        )
    )


@PROPERTY
@given(
    content=st.binary(max_size=600),
    suffix=st.sampled_from([".mha", ".nii", ".nii.gz", ".mhd", ".png", ".npy", ".MHA", ""]),
)
def test_any_bytes(check: Callable[[Path], Checked], tmp_path: Path, content: bytes, suffix: str) -> None:
    assert check(place(tmp_path, content, f"x{suffix}")).code == "unreadable"


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("Multiple points")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["type", "points", "point", "probability", "x"]), inner, max_size=4),
        st.fixed_dictionaries({"point": st.lists(st.one_of(st.floats(), st.integers()), min_size=3, max_size=3), "probability": inner}),
        inner.map(lambda v: {"type": "Multiple points", "points": [v]}),
    ),
    max_leaves=12,
)  # fmt: skip


@PROPERTY
@given(value=VALUES, cut=st.one_of(st.none(), st.floats(0, 1)))
def test_any_value_in_json(toy: TaskFolder, tmp_path: Path, value: object, cut: float | None) -> None:
    content = json.dumps(value).encode("utf-8", "surrogatepass")
    read_points(tmp_path, toy, content if cut is None else content[: int(cut * len(content))])


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """The files of this module start from what the product itself writes and reads."""
    for name, content in WHOLE.items():
        (tmp_path / name).write_bytes(content)
        volume = image.read(tmp_path / name)
        assert not geometry.difference(GRID, volume) and np.array_equal(volume.array, GRID.array)
    assert len(FILES) + len(JSONS) + len(TREES) + 6 * 60 >= 150
