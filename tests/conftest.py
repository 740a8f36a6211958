"""Every annotated shape and type of ``eqflow`` is checked while its tests run."""

from jaxtyping import install_import_hook

HOOK = install_import_hook("eqflow", "beartype.beartype")  # before eqflow is first imported

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def double():
    """Float64 wherever the code does not say otherwise."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
