"""Composition roots: the supervisor, and how the control and edge processes are built, started, reloaded and drained."""
