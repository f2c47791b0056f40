"""Core: one admitted connection pair. Frames in, effects out; no sockets, no clock."""
