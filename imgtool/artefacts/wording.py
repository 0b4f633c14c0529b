"""A compiled model in words: how it compares with the original, and what its lossy twin gains and loses."""

from __future__ import annotations

from imgtool.artefacts.manifest import ArtefactManifest, FastMode, Parity


def in_words(manifest: ArtefactManifest) -> str:
    """All that is known about it."""
    words, fast = exact_in_words(manifest), manifest.judged_fast
    return words if fast is None else f"{words}; fast: {fast_in_words(fast)}"


def exact_in_words(manifest: ArtefactManifest) -> str:
    """How the compiled model compares with the original, and what was done to its graphs."""
    words = [f"agrees with torch: {_figures(manifest.parity)}"] if manifest.parity else []
    if manifest.denormals:
        words.append(f"{manifest.denormals:,} denormal weights are zero now")
    words += [f"{graph}: {method}" for graph, method in manifest.methods.items()]
    return "; ".join(words)


def fast_in_words(fast: FastMode) -> str:
    """What the lossy twin gains, and by how much its answers differ; or why there is none."""
    if not fast.executor:
        return f"nothing was faster here and as good, it runs as exact does ({fast.method})"
    return f"{fast.method}, {fast.speed_up:.2g} times as fast, {_figures(fast.parity)} ({fast.parity.detail})"


def _figures(parity: Parity) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.2g}" for name, value in parity.figures.items())
