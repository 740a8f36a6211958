"""Weak form of a polynomial library on snapshots with measurement noise (method section 5).

Snapshots are ``y = x + s eps``, ``eps ~ N(0, I)``, in units of each feature's standard deviation.
Noise blurs: ``E f(y) = E exp(s^2/2 Laplacian) f(x)``. So ``exp(-s^2/2 Laplacian) f`` at ``y``, for
which we write ``f^``, is an unbiased estimate of ``f(x)``. It has a closed form for monomials
(``polynomial``), for products with derivatives of test functions (``products``) and hence for the
moments of the weak form (``weak``). A size ``s`` that is not known can be estimated (``profile``).
"""

from eqflow.discovery.noise.polynomial import NoisyPolynomial, check_noise
from eqflow.discovery.noise.profile import NoiseProfile, profile_noise
from eqflow.discovery.noise.weak import NoisyWeakForm

__all__ = ["NoiseProfile", "NoisyPolynomial", "NoisyWeakForm", "check_noise", "profile_noise"]
