"""Which terms: the smallest library that the stationarity test accepts (METHOD section 5)."""

from collections.abc import Sequence

from torch import Tensor

from eqflow.stationarity.trial import Candidate, Trial


def select(trial: Trial, libraries: Sequence[Tensor]) -> list[tuple[Candidate, Candidate]]:
    """Libraries in the order given, up to the first accepted law; the chosen one comes last.

    Each is a pair of the full fit and the law left of it. Where none is accepted, the one with the
    least effect size is chosen: a rejected law, to be reported as such.
    """
    tried: list[tuple[Candidate, Candidate]] = []
    for columns in libraries:
        full = trial.fit(columns)
        tried.append((full, full if full.hopeless else trial.sparse(full)))
        if tried[-1][1].accepted:
            return tried
    best = min(range(len(tried)), key=lambda k: tried[k][1].test.effect_size)
    return [*tried[:best], *tried[best + 1 :], tried[best]]
