"""Measures of a coordinate over time: what follows a maximum, and how long it is remembered."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import argrelmax


def maxima(series: Float[np.ndarray, " times"]) -> Float[np.ndarray, " n"]:
    """Local maxima in order of time, each that of the parabola through its three samples."""
    (at,) = argrelmax(series)
    before, peak, after = series[at - 1], series[at], series[at + 1]
    return peak + (after - before) ** 2 / (8 * (2 * peak - before - after))


def return_map(series: Float[np.ndarray, "times runs"]) -> Float[np.ndarray, "pairs 2"]:
    """Each maximum beside the next one of the same run (Lorenz 1963)."""
    found = [maxima(run) for run in series.T]
    return np.concatenate([np.stack([peaks[:-1], peaks[1:]], axis=1) for peaks in found])


def autocorrelation(
    series: Float[np.ndarray, "times runs"], lags: int
) -> Float[np.ndarray, " lags"]:
    """Correlation of the values at two times, the mean over all runs; 1 at lag 0."""
    x = torch.as_tensor(series).double()
    x = x - x.mean()
    n = len(x)
    power = torch.fft.rfft(x, n=2 * n, dim=0).abs().square()
    products = torch.fft.irfft(power, dim=0)[:lags].sum(1) / (n - torch.arange(lags))
    return (products / products[0]).numpy()
