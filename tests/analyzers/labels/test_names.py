"""Label files in the forms in which people have them: read right, or refused with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imgtool.analyzers.labels.names import names_of, parse_labels, read_labels
from imgtool.errors import ModelLoadFailed

FISH = ("tench", "goldfish", "great white shark")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dict.txt", "{0: 'tench',\n 1: 'goldfish',\n 2: \"great white shark\"}\n"),
        ("dict-without-braces.txt", "0: 'tench',\n1: 'goldfish',\n2: 'great white shark',\n"),
        ("list.txt", "['tench', 'goldfish', 'great white shark']"),
        ("synsets.txt", "n01440764 tench\nn01443537 goldfish\nn01484850 great white shark\n"),
        ("clsloc.txt", "n01440764 1 tench\nn01443537 2 goldfish\nn01484850 3 great white shark\n"),
        ("clsloc-sorted-by-name.txt", "n01443537 2 goldfish\nn01484850 3 great white shark\nn01440764 1 tench\n"),
        ("one-based.txt", "1: tench\n2: goldfish\n3: great white shark\n"),
        ("spaces.txt", "0 tench\n1 goldfish\n2 great white shark\n"),
        ("parentheses.txt", "1) tench\n2) goldfish\n3) great white shark\n"),
        ("equals.txt", "0=tench\n1=goldfish\n2=great white shark\n"),
        ("class_index.json", json.dumps({str(k): [f"n{k:08}", name] for k, name in enumerate(FISH)})),
        ("id2label.json", json.dumps({str(k): name for k, name in enumerate(FISH)}, indent=2)),
        ("config.json", json.dumps({"model_type": "vit", "id2label": dict(enumerate(FISH))})),
        ("label2id.json", json.dumps({name: k for k, name in reversed(list(enumerate(FISH)))})),
        ("list.json", json.dumps(FISH)),
        ("pairs.json", json.dumps([[f"n{k:08}", name] for k, name in enumerate(FISH)])),
        ("coco.json", json.dumps({"categories": [{"id": 3 - k, "name": name} for k, name in enumerate(FISH[::-1])]})),
        ("header.csv", "id,name\n0,tench\n1,goldfish\n2,great white shark\n"),
        ("unordered.csv", "class_id,class_name\n1,goldfish\n2,great white shark\n0,tench\n"),
        ("excel.csv", "Index;Name\n0;tench\n1;goldfish\n2;great white shark\n"),
        ("tabs.tsv", "index\tmid\tdisplay_name\n0\t/m/1\ttench\n1\t/m/2\tgoldfish\n2\t/m/3\tgreat white shark\n"),
        ("quoted.csv", 'id,name\n0,"tench"\n1,"goldfish"\n2,"great white shark"\n'),
        ("label-is-the-number.csv", "label,name\n0,tench\n1,goldfish\n2,great white shark\n"),
        ("selected_tags.csv", "tag_id,name,category,count\n90,tench,9,3\n7,goldfish,0,2\n8,great white shark,0,1\n"),
        ("one-column.csv", "name\ntench\ngoldfish\ngreat white shark\n"),
        ("places365.txt", "/a/tench 0\n/g/goldfish 1\n/g/great white shark 2\n"),
        ("numbers-behind.csv", "goldfish,1\ntench,0\ngreat white shark,2\n"),
        ("open-images.csv", "/m/0c9,tench\n/m/03f,goldfish\n/g/1q2,great white shark\n"),
        ("class_to_idx.json", json.dumps({"class_to_idx": {name: k for k, name in enumerate(FISH)}})),
        ("idx_to_class.json", json.dumps({"idx_to_class": dict(enumerate(FISH))})),
        ("objects.json", json.dumps([{"label": name, "score": 1} for name in FISH])),
        ("no-header.csv", "0,tench\n1,goldfish\n2,great white shark\n"),
    ],
)
def test_a_form_that_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == FISH
    (tmp_path / name).write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig")
    assert read_labels(tmp_path / name) == FISH


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "n.txt").write_text("고양이\ncafé\n", encoding=encoding)
    assert read_labels(tmp_path / "n.txt") == ("고양이", "café")


@pytest.mark.parametrize(
    ("name", "content", "pattern"),
    [
        ("n.txt", "café\n".encode("latin-1"), "not UTF-8 text"),
        ("n.txt", "cat\ndog\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("n.txt", b"\xff\xfec", "not UTF-16 text"),
        ("data.yaml", b"names:\n  0: cat\n", "is YAML"),
        ("map.pbtxt", b"item { id: 1 name: 'cat' }", "protobuf label map"),
        ("n.txt", b"{0: 'cat', 1: }", "neither valid JSON nor"),
        ("n.json", b'{"0": "cat", "2": "dog"}', "without a gap"),
        ("n.json", b"[1.5, 2.5]", "not a list of class names"),
    ],
)
def test_a_form_that_is_refused_by_name(tmp_path: Path, name: str, content: bytes, pattern: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadFailed, match=pattern) as caught:
        read_labels(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "1 euro\n2 euro\n5 euro",
        "1 euro\n2 euro",
        "3D model\n2D drawing",
        "0\n1\n2",
        "[PAD]\n[SEP]",
        "tench, Tinca tinca\ngoldfish, Carassius auratus",
        "0 dog",
        "class 0\nclass 1\nclass 2",
        "Boeing 737\nBoeing 747",
        "page 1",
        "101 dalmatians\n102 dalmatians",
    ],
)
def test_names_that_only_look_like_something_else(text: str) -> None:
    assert parse_labels(text) == tuple(text.split("\n"))


@pytest.mark.parametrize(
    "value", [{"a": "b"}, {}, [], "cat", None, {"0": "a", "00": "b"}, {"0": ["a", "b", "c"]}, [None], {"0": 1.5}]
)
def test_values_that_are_no_names(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        names_of(value)
