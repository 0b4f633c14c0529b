"""A small convolutional network of depthwise-separable blocks (MobileNet, Howard et al. 2017) and its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

BLOCKS = ((24, 2), (40, 1), (48, 2), (64, 1), (96, 2), (96, 1), (128, 2), (128, 1))
"""Channels and stride of each block after the first convolution, which has 16 channels and stride 2."""


def block(inside: int, outside: int, stride: int) -> nn.Module:
    """A 3 x 3 convolution per channel, then a 1 x 1 across channels, each with normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False),
        nn.BatchNorm2d(inside),
        nn.ReLU(),
        nn.Conv2d(inside, outside, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


def network(classes: int) -> nn.Module:
    """From ``(N, 3, H, W)`` float32 in [-1, 1] to ``(N, classes)`` scores before the softmax."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    width = 16
    for channels, stride in BLOCKS:
        layers.append(block(width, channels, stride))
        width = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(width, classes))


def normalised(pictures: Any) -> torch.Tensor:
    """``(N, H, W, 3)`` uint8 to ``(N, 3, H, W)`` float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[Any]:
    """All numbers below ``count`` in random order, ``size`` at a time; what is left over waits for the next epoch."""
    order = rng.permutation(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def varied(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror half of the pictures, move all by a few pixels and change their channels' gain a little."""
    flipped = torch.from_numpy(rng.random(len(images)) < 0.5)
    images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    images = torch.roll(images, [int(n) for n in rng.integers(-5, 6, 2)], (2, 3))
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(images), 3, 1, 1)).astype(np.float32))
    return (images * gain).clamp(-1, 1)


def train(pictures: Any, classes: Any, epochs: int, seed: int) -> nn.Module:
    """Fit a network to ``pictures`` (uint8, see :func:`normalised`) and their class numbers."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    # Depthwise convolutions train a third faster on a CPU with the channels last.
    model = network(int(classes.max()) + 1).to(memory_format=torch.channels_last)
    steps = epochs * (len(pictures) // 64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(epochs):
        total = 0.0
        for chosen in batches(len(pictures), 64, rng):
            images = varied(normalised(pictures[chosen]), rng).contiguous(memory_format=torch.channels_last)
            loss = loss_of(model(images), torch.from_numpy(classes[chosen]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1:>2}/{epochs}  loss {total / (len(pictures) // 64):.3f}", flush=True)
    return model.eval().to(memory_format=torch.contiguous_format)
