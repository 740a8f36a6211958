"""The weak form of images on a periodic grid."""
