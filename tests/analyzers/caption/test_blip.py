"""BLIP: its files on disk, and its captions held to transformers called directly, on small random weights."""

from __future__ import annotations

import errno
import importlib.util
import json
import mmap
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgtool.analyzers.caption.blip import BlipTorch
from imgtool.errors import ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.inference.torch import memory_errors
from imgtool.options import EngineOptions
from imgtool.weights.on_disk.blip import BlipWeights, find_weights
from imgtool.weights.places import find_snapshot, is_repository_id
from imgtool.weights.synthetic.marker import Marker, write_marker
from imgtool.weights.synthetic.vocabulary import SEP, make_vocabulary
from imgtool.weights.warm_command import DEFAULT_MODEL

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision", "transformers"))
needs_torch = pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")


def plain_folder(folder: Path) -> Path:
    """The names of a model's files, with nothing of use in them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def in_hub_cache(cache: Path, repository: str = "Salesforce/blip-image-captioning-base") -> Path:
    """An empty snapshot that ``main`` points to."""
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache of its own."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def found_weights(model: str | None, revision: str | None) -> BlipWeights:
    return find_weights(model or DEFAULT_MODEL, revision, "run `imgtool warm-cache blip-base`")


class TestFiles:
    def test_nothing_in_the_hub_cache(self, hub_cache: Path) -> None:
        with pytest.raises(ModelMissing, match="not in the hub's cache") as caught:
            found_weights(None, None)
        assert "warm-cache blip" in caught.value.remedy

    def test_a_snapshot_is_known_by_its_commit(self, hub_cache: Path) -> None:
        plain_folder(in_hub_cache(hub_cache))
        found = found_weights(None, None)
        assert (found.model, found.version) == ("Salesforce/blip-image-captioning-base", COMMIT)
        assert found.size_bytes == len(b"weights")
        assert found_weights(None, COMMIT).folder == found.folder

    def test_another_revision_is_not_taken_for_it(self, hub_cache: Path) -> None:
        plain_folder(in_hub_cache(hub_cache))
        for revision in ("v2", "f" * 40, "../refs/main", "/etc/passwd"):
            with pytest.raises(ModelMissing):
                found_weights(None, revision)

    @pytest.mark.parametrize(
        "missing", ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"]
    )
    def test_a_file_short(self, hub_cache: Path, missing: str) -> None:
        folder = plain_folder(in_hub_cache(hub_cache))
        (folder / missing).unlink()
        with pytest.raises(ModelMissing, match=missing):
            found_weights(None, None)

    def test_a_link_to_a_blob_that_was_never_finished(self, hub_cache: Path) -> None:
        folder = plain_folder(in_hub_cache(hub_cache))
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").symlink_to("../../blobs/abc")
        with pytest.raises(ModelMissing):
            found_weights(None, None)

    def test_a_pickle_is_refused(self, tmp_path: Path) -> None:
        folder = plain_folder(tmp_path / "model")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(ModelMissing, match="pickle"):
            found_weights(str(folder), None)

    def test_weights_in_parts(self, tmp_path: Path) -> None:
        folder = plain_folder(tmp_path / "model")
        (folder / "model.safetensors").rename(folder / "a.safetensors")
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}))
        with pytest.raises(ModelMissing, match=r"b\.safetensors"):
            found_weights(str(folder), None)
        (folder / "b.safetensors").write_bytes(b"more")
        assert found_weights(str(folder), None).size_bytes == len(b"weightsmore")

    @pytest.mark.parametrize("index", ["no json", "{}", '{"weight_map": {"x": "../a.safetensors"}}'])
    def test_an_index_that_makes_no_sense(self, tmp_path: Path, index: str) -> None:
        folder = plain_folder(tmp_path / "model")
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(index)
        with pytest.raises(ModelLoadFailed):
            found_weights(str(folder), None)

    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
    def test_a_folder_is_known_by_its_content(self, tmp_path: Path, name: str) -> None:
        first, second = plain_folder(tmp_path / "a" / "model"), plain_folder(tmp_path / "b" / "model")
        same = found_weights(str(first), None).version
        assert same == found_weights(str(second), None).version
        (second / name).write_bytes(b"[changed]")
        assert same != found_weights(str(second), None).version

    def test_synthetic_weights_answer_only_where_their_folder_was_named(self, hub_cache: Path) -> None:
        folder = plain_folder(in_hub_cache(hub_cache))
        write_marker(folder, Marker(seed=7, size="tiny"))
        with pytest.raises(ModelMissing, match="synthetic"):
            found_weights(None, None)
        assert found_weights(str(folder), None).version.startswith("synthetic-7 ")

    def test_a_damaged_mark_is_no_missing_mark(self, tmp_path: Path) -> None:
        folder = plain_folder(tmp_path / "model")
        (folder / "SYNTHETIC").write_text("?")
        with pytest.raises(ModelLoadFailed, match="mark"):
            found_weights(str(folder), None)

    @pytest.mark.parametrize("name", ["./nowhere", "/nowhere", "a/b/c", "a b", "a/../b"])
    def test_what_is_neither_a_folder_nor_a_repository(self, hub_cache: Path, name: str) -> None:
        with pytest.raises(ModelMissing, match="neither"):
            found_weights(name, None)

    def test_a_ref_that_is_no_commit(self, hub_cache: Path) -> None:
        snapshot = in_hub_cache(hub_cache, "Org/Name")
        (snapshot.parents[1] / "refs" / "main").write_text("../../..")
        assert find_snapshot(hub_cache, "Org/Name") is None
        assert is_repository_id("Org/Name")


class TestOptions:
    @pytest.mark.parametrize(
        "wrong",
        [{"min_new_tokens": 40}, {"device": "gpu"}, {"device": "cuda:"}],
    )
    def test_what_makes_no_sense_is_refused(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        folder = plain_folder(tmp_path / "model")
        with pytest.raises(UsageProblem):
            BlipTorch.parameters(EngineOptions(caption_model=str(folder), **wrong))

    def test_what_changes_a_caption_is_in_the_parameters(self, tmp_path: Path) -> None:
        options = EngineOptions(
            caption_model=str(plain_folder(tmp_path / "model")), caption_prompt=" a photo of ", num_beams=3
        )
        given = BlipTorch.parameters(options)
        assert given.pop("paths") == {"model": str(tmp_path / "model"), "manifest": ""}
        assert given.pop("remedy").startswith("copy the model into ")
        assert given == {
            "beams": 3,
            "max_new_tokens": 30,
            "min_new_tokens": 0,
            "prompt": "a photo of",
            "device": "auto",
            "precision": "exact",
        }
        assert json.loads(json.dumps(given)) == given


def test_the_vocabulary_has_its_special_tokens_in_place() -> None:
    for size in (300, 30522):
        vocabulary = make_vocabulary(size)
        assert sorted(vocabulary.values()) == list(range(size))
        assert (vocabulary["[PAD]"], vocabulary["[UNK]"], vocabulary["[SEP]"]) == (0, 100, SEP)


def picture(seed: int, size: tuple[int, int] | None = None) -> Picture:
    """Coloured blocks, all different."""
    rng = np.random.default_rng(seed)
    width, height = size or (int(rng.integers(40, 500)), int(rng.integers(40, 500)))
    blocks = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)
    return Picture(np.asarray(image), width, height, "PNG")


PICTURES = [picture(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small random weights in a folder."""
    from imgtool.weights.synthetic.networks import make_blip

    folder = tmp_path_factory.mktemp("blip") / "tiny-blip"
    make_blip(folder, "tiny", seed=3)
    return folder


def loaded(folder: Path, **options: Any) -> BlipTorch:
    chosen = EngineOptions(**{"caption_model": str(folder), "max_new_tokens": 12, "device": "cpu", **options})
    analyzer = BlipTorch({**BlipTorch.parameters(chosen), "threads": 1})
    analyzer.load()
    return analyzer


@pytest.fixture(scope="module")
def upstream(model: Path) -> tuple[Any, Any]:
    """The model and the processor as their own documentation says to load them."""
    from transformers import BlipForConditionalGeneration, BlipProcessor

    return BlipForConditionalGeneration.from_pretrained(model), BlipProcessor.from_pretrained(model)


@needs_torch
class TestCaptions:
    @pytest.mark.parametrize(
        ("options", "generate", "prompt"),
        [
            ({}, {"max_new_tokens": 12}, None),
            ({"num_beams": 3}, {"max_new_tokens": 12, "num_beams": 3}, None),
            ({"caption_prompt": "baba dada"}, {"max_new_tokens": 12}, "baba dada"),
            ({"min_new_tokens": 12}, {"max_new_tokens": 12, "min_new_tokens": 12}, None),
        ],
    )
    def test_as_upstream_alone_and_in_a_batch(
        self,
        model: Path,
        upstream: tuple[Any, Any],
        options: dict[str, Any],
        generate: dict[str, Any],
        prompt: str | None,
    ) -> None:
        network, processor = upstream
        expected = []
        for one in PICTURES:
            inputs = processor(images=Image.fromarray(one.pixels), text=prompt, return_tensors="pt")
            tokens = network.generate(**inputs, **generate)
            expected.append(processor.decode(tokens[0], skip_special_tokens=True).strip())
        analyzer = loaded(model, **options)
        assert analyzer.run(PICTURES) == expected
        assert [answer for one in PICTURES for answer in analyzer.run([one])] == expected
        assert len(set(expected)) > 6

    def test_pictures_of_any_shape(self, model: Path) -> None:
        shapes = [picture(1, size) for size in ((1, 1), (3, 5), (1, 900), (900, 1), (3, 3))]
        assert all(isinstance(answer, str) for answer in loaded(model).run(shapes))

    def test_what_the_probe_tells(self, model: Path) -> None:
        probe = BlipTorch.probe(EngineOptions(caption_model=str(model)))
        assert probe.available
        assert probe.model == "tiny-blip"
        assert probe.model_version.startswith("synthetic-3 ")

    def test_the_same_seed_makes_the_same_weights(self, model: Path, tmp_path: Path) -> None:
        from imgtool.weights.synthetic.networks import make_blip

        make_blip(tmp_path / "again", "tiny", seed=3)
        assert (tmp_path / "again" / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
        make_blip(tmp_path / "other", "tiny", seed=4)
        assert (tmp_path / "other" / "model.safetensors").read_bytes() != (model / "model.safetensors").read_bytes()
        with pytest.raises(UsageProblem):
            make_blip(tmp_path / "x", "huge")

    def test_a_file_system_that_cannot_map(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        mapped = loaded(model).run(PICTURES[:4])

        def refuse(*_: Any, **__: Any) -> Any:
            raise OSError(errno.ENODEV, "No such device")

        monkeypatch.setattr(mmap, "mmap", refuse)
        assert loaded(model).run(PICTURES[:4]) == mapped
        assert capfd.readouterr() == ("", "")

    def test_several_threads_that_load_at_once_all_get_whole_models(self, model: Path) -> None:
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(loaded(model).run(PICTURES[:3]))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [loaded(model).run(PICTURES[:3])] * 4

    def test_run_before_load_is_a_mistake(self, model: Path) -> None:
        analyzer = loaded(model)
        analyzer.close()
        with pytest.raises(RuntimeError):
            analyzer.run(PICTURES[:1])


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """The model in a folder of its own, to be damaged."""
    return Path(shutil.copytree(model, tmp_path / "copy"))


def rewritten(folder: Path, change: Any) -> None:
    """Save the weights anew after ``change`` was made to the dictionary of tensors."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@needs_torch
class TestDamage:
    def refuses(self, folder: Path) -> str:
        with pytest.raises(ModelLoadFailed) as caught:
            loaded(folder)
        assert caught.value.remedy
        return str(caught.value)

    @pytest.mark.parametrize("left", [0, 7, 100, 300_000])
    def test_weights_cut_off(self, copy: Path, left: int) -> None:
        with (copy / "model.safetensors").open("r+b") as file:
            file.truncate(left)
        self.refuses(copy)

    def test_a_pickle_by_the_name_of_safetensors(self, copy: Path) -> None:
        import torch

        torch.save({"x": torch.zeros(2)}, copy / "model.safetensors")
        assert "pickle" in self.refuses(copy)

    def test_a_tensor_short_is_not_filled_with_random_values(self, copy: Path) -> None:
        rewritten(copy, lambda tensors: tensors.pop("vision_model.post_layernorm.weight"))
        assert "vision_model.post_layernorm.weight" in self.refuses(copy)

    def test_another_shape(self, copy: Path) -> None:
        name = "vision_model.post_layernorm.weight"
        rewritten(copy, lambda tensors: tensors.update({name: tensors[name][:8].clone()}))
        self.refuses(copy)

    def test_tensors_too_many_are_no_harm(self, copy: Path, model: Path) -> None:
        import torch

        rewritten(copy, lambda tensors: tensors.update({"text_decoder.bert.embeddings.position_ids": torch.arange(5)}))
        assert loaded(copy).run(PICTURES[:2]) == loaded(model).run(PICTURES[:2])

    @pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer.json"])
    @pytest.mark.parametrize("content", ["", "[]", "{", "\x00\x01"])
    def test_settings_that_cannot_be_read(self, copy: Path, name: str, content: str) -> None:
        (copy / name).write_text(content)
        self.refuses(copy)

    def test_a_device_that_is_not_here(self, model: Path) -> None:
        import torch

        missing = f"cuda:{torch.cuda.device_count()}"
        with pytest.raises(ModelLoadFailed, match=missing) as caught:
            loaded(model, device=missing)
        assert "--device cpu" in caught.value.remedy


@needs_torch
def test_memory_that_torch_cannot_have_is_a_memory_error() -> None:
    import torch

    with pytest.raises(MemoryError), memory_errors():
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="shape"), memory_errors():
        torch.zeros(2).reshape(3)


OFFLINE = """
import sys
def listen(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        sys.stderr.write(f"network: {event} {arguments}\\n")
sys.addaudithook(listen)
import numpy as np
from imgtool.analyzers.caption.blip import BlipTorch
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
options = EngineOptions(caption_model=sys.argv[1], max_new_tokens=3)
probe = BlipTorch.probe(options)
assert probe.available, probe
heavy = {"torch", "transformers", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
analyzer = BlipTorch({**BlipTorch.parameters(options), "threads": 2})
assert "torch" not in sys.modules
analyzer.load()
analyzer.warm_up()
import torch
assert torch.get_num_threads() == 2
assert torch.get_num_interop_threads() == 1
"""


@needs_torch
def test_a_fresh_process_is_quiet_and_makes_no_call_to_the_network(model: Path) -> None:
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(model)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Parrot:
    """A network that says the same of every picture."""

    def __init__(self, caption: str) -> None:
        self._said = caption

    def caption(self, pictures: list[object], _: object) -> list[str]:
        return [self._said] * len(pictures)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a yellow circle on a black background", "a yellow circle on a transparent background"),
        ("a yellow circle on a plain dark grey background", "a yellow circle on a transparent background"),
        ("the logo of a shop with a white background", "the logo of a shop with a transparent background"),
        ("a cat sitting on a chair", "a cat sitting on a chair on a transparent background"),
        ("a dog on a transparent background", "a dog on a transparent background"),
        ("a black and white photo", "a black and white photo on a transparent background"),
        ("", ""),
    ],
)
def test_the_ground_of_a_transparent_picture_is_not_made_up(said: str, meant: str) -> None:
    analyzer = BlipTorch({"beams": 1, "max_new_tokens": 9, "min_new_tokens": 0, "prompt": ""})
    analyzer._network = Parrot(said)  # type: ignore[assignment]
    pixels = np.zeros((9, 9, 3), np.uint8)
    pictures = [Picture(pixels, 9, 9, "PNG", clear=clear) for clear in (0.0, 0.04, 0.6)]
    assert analyzer.run(pictures) == [said, said, meant]
