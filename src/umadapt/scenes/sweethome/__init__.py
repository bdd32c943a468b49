"""Furniture of Sweet Home 3D catalogues."""
