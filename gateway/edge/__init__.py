"""Shell of the data plane: sockets, TLS, upgrade, the CSMS leg and the pump that performs what the relay decides."""
