"""Tolerances for known peculiarities of makers. A site names the ones it needs."""
