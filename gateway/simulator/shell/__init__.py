"""Shell: sockets, TLS, keys, timers and files for simulated charge points."""
