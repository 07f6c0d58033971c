"""Denoisers in closed form, for slots that estimate a score from samples."""
