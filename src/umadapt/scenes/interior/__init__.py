"""Rooms: shells, openings, kinds, and what stands where."""
