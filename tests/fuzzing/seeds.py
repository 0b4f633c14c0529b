"""Well-formed inputs that fuzzing begins with, by target: what is only parsed when its beginning is right."""

from __future__ import annotations

import io
import struct
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from tests import picture_files as made
from tests.picture_files import saved


def seeds() -> dict[str, list[bytes]]:
    """Target to inputs, each of a few kilobytes at most."""
    return {
        **_json_files(),
        **_images(),
        "protocol": _messages(),
        "configuration": [
            b'tasks = ["text", "codes"]\ntop-k = 3\ntimeout = "30s"\ncache-dir = "x"\n[ocr]\npsm = 6\n[bench]\nruns = 3\n',
            b'max-pixels = "50M"\nlanguages = "ko,en"\nworkers = 2\nmean = [0.5]\n[classifier]\nsize = [224, 224]\n',
        ],
        "quantities": [b"9" * 400, b"max_pixels\n50M", b"timeout\n1.5h", b"languages\nko,en", b"ocr\npsm=6,oem=1", b"2GiB", b"mean=0.5,0.5,resize=pad"],
        "path_lists": [b"a.jpg\nb c.png\r\n\n", b"a\0b\0", b"\xef\xbb\xbfa", b"\xff\xfea\0", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n\0\0"],
        "label_files": [
            b"0: cat\n1: dog\n", b"index,name\n0,cat\n1,dog\n", b'{"0": "cat", "1": "dog"}', b"['cat', 'dog']",
            b"n01440764 tench, Tinca tinca\nn01443537 goldfish", b"/m/011k07,Tortoise\n", b"/a/airfield 0\n/a/alley 1\n",
            b'{"id2label": {"0": ["n01440764", "tench"]}}', b'[{"id": 0, "name": "cat"}]', b"\xff\xfec\0a\0t\0",
        ],
        "onnx_metadata": [
            b"names\t{0: 'cat', 1: 'dog'}\nimgsz\t[224, 224]", b"imgtool.size\t224\nimgtool.mean\t0.5,0.5,0.5", b"character\ta\nclasses\ta,b",
        ],
        "hs_codes": [
            b"HS CODE: 8471.30-0000", "세번부호 8471.30.0100\n품목번호: 0901.21".encode(), b"HTS 8471 30 00\nCN code\n84713000", b"2024-06-13 847130",
        ],
        "queries": [
            b'harbour "one way" label:sign -path:old (status:failed OR pages:>1)', b"size:>2MB modified:2024-06..2025 width:100..200",
            "code:8471.30 text:한국* has:labels NOT format:png".encode(), b"sha256:ab* engine:blip error:timeout", b"(a AND b) | c",
        ],
        "tesseract_tsv": [
            b"4\t1\t1\t1\t1\t0\t5\t5\t60\t12\t-1\t\n5\t1\t1\t1\t1\t1\t5\t5\t20\t12\t96.5\tHELLO\n5\t1\t1\t1\t1\t2\t30\t5\t20\t12\t90\t42\nHELLO 42\n\f",
        ],
        "http_bodies": [
            b"image/png\n12\n\x89PNG\r\n\x1a\n1234",
            b'multipart/form-data; boundary=x\n\n--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
            b'Content-Type: image/jpeg\r\n\r\nabc\r\n--x\r\nContent-Disposition: form-data; name="tasks"\r\n\r\ntext\r\n--x--\r\n',
            b"multipart/form-data\n\n", b"application/octet-stream\n5\nabcde",
        ],
        "http_headers": [b"127.0.0.1:8000", b"[::1]:80", b"text,codes", b"10", b"1.5", b"nan", b"9" * 400, b"a" * 64, b"..\\x/photo.jpg"],
    }  # fmt: skip


def _json_files() -> dict[str, list[bytes]]:
    from imgtool.engine.cache.records import Record, StoredAnswer, encode
    from imgtool.engine.cache.shared.answers import Question, encode_answer
    from imgtool.types import Backend, Problem
    from tests.bench.sample_experiments import PageCache, machine, sample

    facts: Any = msgspec.convert({"format": "PNG", "width": 4, "height": 4, "pages": 1, "file_size": 9}, _facts())
    answer = StoredAnswer(
        msgspec.Raw(b'[{"text":"a","confidence":0.9,"box":[[0,0],[1,0],[1,1],[0,1]]}]'),
        "e",
        "m",
        "1",
        Backend.ONNX,
        0.1,
        1.0,
    )
    shared = encode_answer(Question("a", "text", "f"), facts, answer)
    assert shared is not None
    record = encode(Record(1, facts, {"f": answer}, {"decode": Problem("damaged", "it is", "another")}))
    result = (
        b'{"schema_version":1,"path":"/a.png","page":0,"pages":1,"sha256":"ab","format":"PNG","width":4,"height":4,"file_size":9,"status":"ok",'
        b'"tasks":{},"error":null,"processing_time_ms":1.0,"cache_enabled":true,"from_cache":false}'
    )
    model = (
        b'{"schema_version":1,"name":"blip","origin":"hub","repository":"a/b","revision":"main","commit":"0123456789","created":"2026",'
        b'"root":"hub","base":"models--a--b","files":[{"path":"model.safetensors","size":5,"sha256":"ab"}]}'
    )
    compiled = (
        b'{"kind":"blip","model":"m","model_version":"1","graphs":["a"],"exporter":"e","opset":17,"runtime":{"onnxruntime":"1","architecture":"x",'
        b'"cpu_features":["a"]},"files":[{"path":"settings.json","size":1,"sha256":"a","sample":"b"},{"path":"a.onnx","size":1,"sha256":"a","sample":"b"},'
        b'{"path":"a.optimised.onnx","size":1,"sha256":"a","sample":"b"}],"created":"2026"}'
    )
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{}}'
    experiment = msgspec.json.encode(
        {
            "tool": "imgtool bench",
            "schema_version": 1,
            "machine": machine(),
            "samples": [sample("lazy", 1, 1, 1.0, PageCache.WARM)],
        }
    )
    return {
        "records": [record, shared],
        "manifests": [model, compiled, struct.pack("<Q", len(header)) + header + b"1234"],
        "imports": [
            result, b'{"tool":"imgtool database","schema_version":1}\n{"file":{"path":"/a.png"},"result":' + result + b"}\n",
            b"[" + result + b"]", b"path,page,status\n/a.png,0,ok\n",
        ],
        "api_keys": [b'{"keys":[{"name":"a","hash":"ab","role":"user","created":1.0}],"version":1}'],
        "baselines": [experiment],
        "sidecars": [
            b'{"size": [224, 224], "mean": [0.5, 0.5, 0.5], "std": 0.5, "resize": "crop", "crop_pct": 0.9, "labels": ["a", "b"]}',
            b'{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 224, "width": 224}, "do_normalize": true,'
            b' "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.0039, "resample": 2}',
            b'{"architecture": "resnet50", "num_classes": 2, "pretrained_cfg": {"input_size": [3, 224, 224], "mean": [0.4], "std": [0.2],'
            b' "interpolation": "bicubic", "crop_pct": 0.95, "crop_mode": "center"}}',
            b'{"architectures": ["X"], "id2label": {"0": "cat", "1": "dog"}}',
        ],
    }  # fmt: skip


def _facts() -> Any:
    from imgtool.engine.cache.records import ImageFacts

    return ImageFacts


def _messages() -> list[bytes]:
    from imgtool.runtime import protocol
    from imgtool.types import Problem

    held: Any = io.BytesIO()
    problem = Problem("damaged", "it is", "another")
    for message in (
        protocol.Ready(pid=1),
        protocol.StepBegan(step="decode", items=(1,)),
        protocol.Decoded(item=1, format="PNG", width=1, height=1, pages=1, file_size=9, seconds=0.1),
        protocol.Answered(item=1, task="text", analyzer="rapidocr", value=b"[]", seconds=0.1),
        protocol.Failed(item=1, task=None, problem=problem),
        protocol.ModelFailed(task="text", analyzer="a", problem=problem),
        protocol.BatchDone(batch=1, rss_bytes=5),
    ):
        protocol.write(held, message)
    return [held.getvalue()]


def _images() -> dict[str, list[bytes]]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    small = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    picture, indexed = Image.fromarray(small), Image.fromarray(small).quantize(8)
    bmp = [
        saved(picture, "BMP"),
        saved(indexed, "BMP"),
        made.bitmap(
            made.bitmap_info(8, 8, 6, 1),
            b"\x08\1\0\0\0\3\1\2\3\0\0\2\1\1\x02\x04\0\1",
            made.palette_bytes(made.palette(256)),
        ),
        made.bitmap(made.bitmap_info(16, 8, 6, 3, more=made.masks(0xF800, 0x7E0, 0x1F), length=56), bytes(96)),
    ]
    icon = made.icon(
        (8, 24, made.icon_bitmap(small[:6, :8], 24, small[:6, :8, 0] // 128)), (8, 32, saved(picture, "PNG"))
    )
    tiffs = [
        saved(picture, "TIFF"),
        saved(indexed, "TIFF", compression="tiff_lzw"),
        saved(picture, "TIFF", big_tiff=True),
        made.dng(small),
    ]
    others = [saved(picture, name) for name in ("PNG", "JPEG", "WEBP", "GIF", "PPM", "QOI", "PCX", "TGA", "JPEG2000")]
    others += [
        saved(picture, "AVIF", speed=10),
        saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90)]),
    ]
    weights = numpy_helper.from_array(np.full((4, 8), 1e-40, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Softmax", ["y"], ["z"], axis=1)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 8])],
        [weights],
    )
    model = helper.make_model(graph)
    onnx.helper.set_model_props(model, {"names": "{0: 'cat', 1: 'dog'}"})
    return {
        "bitmaps": [*bmp, icon],
        "camera_raws": [*tiffs, b"II*\0\x08\0\0\0" + saved(picture, "JPEG")],
        "mended_files": [saved(picture, "PNG")[:-20], saved(picture, "WEBP")[:-9], bmp[0][:-9]],
        "file_heads": [*others, *tiffs, bmp[0]],
        "decoder": [*others, *tiffs, *bmp, icon],
        "onnx_files": [model.SerializeToString()],
    }
