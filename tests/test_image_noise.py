"""White noise of pixels: its size from the tail of the structure factor, and what it forbids."""

import re
from dataclasses import replace
from math import pi

import pytest
import torch
from compared import law_of

from eqflow.data import Standardiser
from eqflow.discovery import Discovery
from eqflow.fields import Library
from eqflow.stationarity.images.noise import MIN_PIXEL_NOISE, pixel_noise
from eqflow.systems import GrayScott, Schedule


def white(x: torch.Tensor, size: float) -> torch.Tensor:
    """Noise of this size in each channel's standard deviation."""
    draw = torch.Generator().manual_seed(1)
    return size * x.std((0, 2, 3), keepdim=True) * torch.randn(x.shape, generator=draw)


def standard(x: torch.Tensor) -> torch.Tensor:
    return Standardiser.of(x).standard(x)


def smooth(n: int, channels: int, height: int, width: int) -> torch.Tensor:
    """Random images whose power falls off exponentially in the eigenvalue of the Laplacian."""
    noise = torch.randn(n, channels, height, width, generator=torch.Generator().manual_seed(0))
    y, x = (2 - 2 * (2 * pi * torch.fft.fftfreq(k)).cos() for k in (height, width))
    return torch.fft.ifft2(torch.fft.fft2(noise) * (-2 * (y[:, None] + x)).exp()).real


@pytest.mark.parametrize("size", [0.002, 0.02, 0.5])
@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 16, 48)])
def test_the_floor_of_the_spectrum_is_the_noise(size, shape):
    x = smooth(60, *shape)
    expected = size / (1 + size**2) ** 0.5
    found = pixel_noise(standard(x + white(x, size)))
    assert found.tolist() == pytest.approx([expected] * shape[0], rel=0.05)


@pytest.mark.parametrize("preset", ["waves", "chaos", "maze"])
def test_patterns_without_noise_read_none_and_a_thousandth_is_seen(preset):
    x = GrayScott(preset).sample(12, 0, (48, 48), Schedule(settle=2000)).states
    assert pixel_noise(standard(x)).max() < MIN_PIXEL_NOISE
    assert pixel_noise(standard(x + white(x, 0.001))).max() == pytest.approx(0.001, rel=0.1)


def test_images_without_modes_in_every_band_hold_no_noise_that_is_seen():
    assert pixel_noise(torch.randn(5, 2, 2, 2)).tolist() == [0, 0]


def test_equations_of_noisy_images_are_not_recovered():
    x = smooth(30, 2, 16, 16)
    x = x + torch.tensor([1.0, 0.0]).view(2, 1, 1) * white(x, 0.02)
    units, field = Standardiser.of(x), Library((2, 16, 16), 1, operators=["lap"])
    findings = Discovery(field, units.standard(x), units, functions=20).run()
    assert re.fullmatch(
        r"the images hold pixel noise of (1.9|2.0)\d% of u, which a Laplacian amplifies",
        findings.reason,
    )
    assert findings.numbers()["noise/pixel"] == pytest.approx(0.02, rel=0.1)


def test_noise_below_the_least_that_is_seen_is_no_reason():
    _, findings = law_of()
    assert not replace(findings, pixel_noise={"u": 0.00005, "v": 0.0}).reason
    assert "of v" in replace(findings, pixel_noise={"u": 0.00005, "v": 0.05}).reason
