"""Decoders: text for text what EasyOCR's converter reads from the same probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imgtool.inference.easyocr.ctc import confidence, decode_beams, decode_greedy, decode_words, probabilities

pytestmark = pytest.mark.filterwarnings("ignore")

CHARACTERS = "ab cdefg"
WORDS = ("ab", "bad", "cab", "a", "dd", "feed")


def matrix(seed: int, steps: int, sharpness: float) -> NDArray[np.float32]:
    """(``steps``, classes) logits: from nearly even to decided, blanks and repetitions among them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (steps, len(CHARACTERS) + 1))
    for step in range(1, steps):
        if rng.random() < 0.4:
            logits[step] = logits[step - 1] + rng.normal(0, 0.1, logits.shape[1])
    return logits.astype(np.float32)


def matrices() -> st.SearchStrategy[NDArray[np.float32]]:
    return st.builds(matrix, st.integers(0, 10**6), st.integers(1, 24), st.sampled_from([0.2, 1.0, 3.0, 12.0]))


@pytest.fixture(scope="module")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    utils = pytest.importorskip("easyocr.utils")
    path: Path = tmp_path_factory.mktemp("words") / "xx.txt"
    path.write_text("\n".join(WORDS), encoding="utf-8")
    return utils.CTCLabelConverter(CHARACTERS, {}, {"xx": str(path)})


@settings(max_examples=150, deadline=None)
@given(logits=matrices(), ignored=st.sets(st.integers(1, len(CHARACTERS)), max_size=4))
def test_probabilities_and_confidence(logits: NDArray[np.float32], ignored: set[int]) -> None:
    """Upstream's lines for these are in the middle of a function: they are repeated here with torch's softmax."""
    torch = pytest.importorskip("torch")
    recognition = pytest.importorskip("easyocr.recognition")
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    expected[:, list(ignored)] = 0.0
    expected = expected / expected.sum(axis=1, keepdims=True)
    found = probabilities(logits, sorted(ignored))
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6
    best = found.max(axis=1)[found.argmax(axis=1) != 0]
    assert confidence(found) == (recognition.custom_mean(best) if len(best) else 0.0)


@settings(max_examples=150, deadline=None)
@given(logits=matrices())
def test_greedy(converter: Any, logits: NDArray[np.float32]) -> None:
    shares = probabilities(logits, [])
    assert [decode_greedy(shares, CHARACTERS)] == converter.decode_greedy(shares.argmax(axis=1), [len(shares)])


@settings(max_examples=150, deadline=None)
@given(logits=matrices(), width=st.integers(1, 8))
def test_beams(converter: Any, logits: NDArray[np.float32], width: int) -> None:
    shares = probabilities(logits, [])
    assert [decode_beams(shares, CHARACTERS, width)] == converter.decode_beamsearch(shares[None], beamWidth=width)


@settings(max_examples=150, deadline=None)
@given(logits=matrices(), width=st.integers(1, 8), listed=st.booleans())
def test_words(converter: Any, logits: NDArray[np.float32], width: int, listed: bool) -> None:
    shares = probabilities(logits, [])
    with pytest.MonkeyPatch.context() as patch:
        if not listed:  # as in releases that ship no word lists
            patch.setattr(converter, "dict_list", [])
        expected = converter.decode_wordbeamsearch(shares[None], beamWidth=width)
    assert [decode_words(shares, CHARACTERS, width, frozenset(WORDS if listed else ()))] == expected


def test_the_word_list_changes_something(converter: Any) -> None:
    found = [
        decode_words(probabilities(matrix(seed, 8, 1.0), []), CHARACTERS, 5, words)
        for seed in range(40)
        for words in (frozenset(), frozenset(WORDS))
    ]
    assert sum(one != other for one, other in zip(found[0::2], found[1::2], strict=True)) >= 3


class TestWithoutUpstream:
    def certain(self, labels: list[int]) -> NDArray[np.float32]:
        shares = np.full((len(labels), len(CHARACTERS) + 1), 1e-6, np.float32)
        shares[range(len(labels)), labels] = 1
        return shares / shares.sum(axis=1, keepdims=True)

    @pytest.mark.parametrize("width", [1, 5])
    @pytest.mark.parametrize(("labels", "text"), [([0, 0, 0], ""), ([1, 0, 3, 0, 2], "a b"), ([4, 4, 4], "c")])
    def test_what_is_certain_is_read_by_all(self, labels: list[int], text: str, width: int) -> None:
        shares = self.certain(labels)
        assert decode_greedy(shares, CHARACTERS) == text
        assert decode_beams(shares, CHARACTERS, width) == text
        assert decode_words(shares, CHARACTERS, width, ()) == text

    def test_double_letters(self) -> None:
        shares = self.certain([1, 1, 0, 1, 2])
        assert decode_greedy(shares, CHARACTERS) == "aab"
        # Upstream's search loses the second letter, and so do we.
        assert decode_beams(shares, CHARACTERS, 5) == "ab"

    def test_a_word_of_the_list_is_preferred(self) -> None:
        shares = self.certain([4, 1, 2])
        shares[2, 2], shares[2, 4] = 0.45, 0.55
        assert decode_beams(shares, CHARACTERS, 5) == "cac"
        assert decode_beams(shares, CHARACTERS, 5, {"cab"}) == "cab"

    def test_nothing_read_has_no_confidence(self) -> None:
        assert confidence(self.certain([0, 0])) == 0.0
        assert confidence(self.certain([1, 2])) > 0.99

    def test_what_is_ignored_is_never_read(self) -> None:
        shares = probabilities(np.eye(len(CHARACTERS) + 1, dtype=np.float32)[[1, 2, 3]] * 9, [2])
        assert (shares[:, 2] == 0).all()
        assert np.allclose(shares.sum(axis=1), 1)
        assert "b" not in decode_greedy(shares, CHARACTERS)
