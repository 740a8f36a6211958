"""Time series of a coordinate: return map of its maxima, and autocorrelation."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import argrelmax


def maxima(series: Float[np.ndarray, " times"]) -> Float[np.ndarray, " n"]:
    """Local maxima in order of time, by a parabola through each and its two neighbours."""
    (at,) = argrelmax(series)
    before, peak, after = series[at - 1], series[at], series[at + 1]
    return peak + (after - before) ** 2 / (8 * (2 * peak - before - after))


def return_map(series: Float[np.ndarray, "times runs"]) -> Float[np.ndarray, "pairs 2"]:
    """Return map: every maximum of a run beside the next one (Lorenz 1963)."""
    peaks = [maxima(run) for run in series.T]
    return np.concatenate([np.stack([run[:-1], run[1:]], axis=1) for run in peaks])


def autocorrelation(
    series: Float[np.ndarray, "times runs"], lags: int
) -> Float[np.ndarray, " lags"]:
    """Correlation of values at two times against their lag, the mean over runs; 1 at lag 0."""
    x = torch.as_tensor(series).double()
    x = x - x.mean()
    n = len(x)
    power = torch.fft.rfft(x, n=2 * n, dim=0).abs().square()
    products = torch.fft.irfft(power, dim=0)[:lags].sum(1) / (n - torch.arange(lags))
    return (products / products[0]).numpy()


def integrated_autocorrelation_time(
    series: Float[np.ndarray, "times runs"], window: float = 5.0
) -> float:
    """Integrated autocorrelation time ``1 + 2 sum_t rho(t)`` of a chain, in steps.

    So many steps are worth one independent sample. ``rho`` is the mean over runs, and the sum ends
    at the first lag that exceeds ``window`` times ``1 + 2 sum_t |rho(t)|`` (Sokal 1997, "Monte
    Carlo methods in statistical mechanics"): with absolute values, for a ``rho`` that swings around
    zero would end it at once. NaN where the series is too short.
    """
    rho = autocorrelation(series, len(series))
    ended = np.arange(len(rho)) >= window * (2 * np.abs(rho).cumsum() - 1)
    return 2 * rho[: ended.argmax() + 1].sum().item() - 1 if ended.any() else float("nan")
