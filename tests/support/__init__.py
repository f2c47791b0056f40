"""Simulated peers and a real gateway for tests."""
