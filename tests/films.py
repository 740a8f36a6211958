"""Films as a player sees them."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np


def decoded(path: Path) -> tuple[dict, list[np.ndarray]]:
    """What a player makes of a film."""
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    width, height = about["size"]
    return about, [np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in reader]
