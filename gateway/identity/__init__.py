"""Core: who speaks, and may he enter? Claim -> Authenticated -> Admission, each a value, no I/O."""
