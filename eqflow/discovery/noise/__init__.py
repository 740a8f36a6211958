"""Weak form of a polynomial library on snapshots with measurement noise (method section 5).

Snapshots are ``y = x + s eps`` with ``eps ~ N(0, I)``, in units of each feature's standard
deviation. The noise blurs means, ``E f(y) = E exp(s^2/2 Laplacian) f(x)``, so that the function
``f^ = exp(-s^2/2 Laplacian) f`` at ``y`` is an unbiased estimate of ``f(x)``. It has a closed form
for monomials and for their products with derivatives of test functions (:mod:`.polynomial`), hence
for the moments of the weak form (:mod:`.weak`). An unknown size ``s`` is estimated
(:mod:`.profile`).
"""

from eqflow.discovery.noise.polynomial import NoisyPolynomial, check_noise
from eqflow.discovery.noise.profile import NoiseProfile, profile_noise
from eqflow.discovery.noise.weak import NoisyWeakForm

__all__ = ["NoiseProfile", "NoisyPolynomial", "NoisyWeakForm", "check_noise", "profile_noise"]
