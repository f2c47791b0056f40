"""A charge point that behaves as the specifications say, or as the field does: `ocpp-gateway simulate`, tests, demo.

`core` decides (pure: events in, effects out), `shell` has the sockets, keys, files and timers.
"""
