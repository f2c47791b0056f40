"""Core: the simulated charge point as a state machine. No I/O, no clock, no randomness: they come in as events."""
