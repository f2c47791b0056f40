"""Core: what several records say together that none of them says alone. Bounded state, no clock: time is the records'."""
