"""Weak form of images on a periodic grid."""
