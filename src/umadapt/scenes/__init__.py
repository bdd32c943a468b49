"""Procedural labelled rooms: layout and labels in numpy, images from Mitsuba 3."""
