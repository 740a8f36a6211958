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


def integrated_autocorrelation_time(
    series: Float[np.ndarray, "times runs"], window: float = 5.0
) -> float:
    """Steps of a chain that are worth one independent sample, ``1 + 2 sum_t rho(t)``.

    The mean over all runs, up to the first lag that is ``window`` times the sum itself (Sokal 1997,
    "Monte Carlo methods in statistical mechanics"). That sum is of ``|rho|``: correlations that
    swing around zero, as those of a chain that turns, would else end the window at once. NaN where
    the series ends before it.
    """
    rho = autocorrelation(series, len(series))
    ended = np.arange(len(rho)) >= window * (2 * np.abs(rho).cumsum() - 1)
    return 2 * rho[: ended.argmax() + 1].sum().item() - 1 if ended.any() else float("nan")
