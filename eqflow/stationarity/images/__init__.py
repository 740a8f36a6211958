"""The weak form of images on a periodic grid."""

from eqflow.stationarity.images.form import ImageForm, ImageSample
from eqflow.stationarity.images.functions import LocalFunctions
from eqflow.stationarity.images.moments import moments

__all__ = ["ImageForm", "ImageSample", "LocalFunctions", "moments"]
