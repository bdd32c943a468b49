"""Procedural furniture and things."""
