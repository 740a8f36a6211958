"""Films as files: MP4 that browsers play, small enough to stand in a page."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8

from eqflow.runtime import replacing

FRAME_RATE, BIT_RATE = 15, "1200k"
"""Frames in a second of a film, and largest number of bits."""

Picture = UInt8[np.ndarray, "tall wide 3"]
"""One frame, of even sides."""


def write_film(path: Path, frames: Iterable[Picture]) -> Path:
    """Write frames of one size as a film (H.264); returns ``path``."""
    options = ["-maxrate", BIT_RATE, "-bufsize", BIT_RATE, "-movflags", "+faststart", "-f", "mp4"]
    remaining = iter(frames)
    first = next(remaining)
    with replacing(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            temporary,
            (first.shape[1], first.shape[0]),
            fps=FRAME_RATE,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            output_params=["-crf", "28", "-preset", "veryfast", *options],
        )
        writer.send(None)
        for frame in chain([first], remaining):
            writer.send(np.ascontiguousarray(frame))
        writer.close()
    return path
