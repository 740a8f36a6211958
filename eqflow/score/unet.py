"""Score by the U-Net of the library diffusers, made periodic and local; an optional extra."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from eqflow.errors import InputError
from eqflow.score.images import ImageScore


class UNetScore(ImageScore):
    """Score of images by the architecture in common use, larger and slower than ``conv``.

    It has two resolutions of ``width`` and ``2 width`` channels with ``depth`` blocks each,
    circular padding, no attention, and no group normalisation, which would couple all pixels.
    ``options`` are the arguments of :class:`ImageScore`, ``conservative`` excepted. Raises
    ``InputError`` where the library is not installed.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int = 32, depth: int = 1, **options: Any
    ) -> None:
        super().__init__(shape, conservative=False, **options)
        self.network = local_unet(shape[0], width, depth)

    def network_output(
        self, x: Float[Tensor, "batch channels height width"], sigma: Float[Tensor, "#batch 1 1 1"]
    ) -> Float[Tensor, "batch channels height width"]:
        u, level = self._unit_inputs(x, sigma)
        # its embedding of a time turns by up to one radian a unit
        time = u.new_zeros(len(u)) if level is None else 10 * level.flatten().expand(len(u))
        return self.network(u, time).sample


def local_unet(channels: int, width: int, depth: int) -> nn.Module:
    """A ``UNet2DModel`` of diffusers whose values depend on their neighbourhood alone."""
    try:
        from diffusers import UNet2DModel
    except ImportError:
        raise InputError(
            "score=unet needs the library diffusers, which is not installed; "
            "expected pip install -e '.[unet]'"
        ) from None
    sizes: Any = {"block_out_channels": (width, 2 * width), "layers_per_block": depth}
    network: Any = UNet2DModel(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        add_attention=False,
        norm_num_groups=width,
        **sizes,
    )
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
        for name, part in module.named_children():
            if isinstance(part, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    return network
