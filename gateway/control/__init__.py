"""Shell of the control plane: admissions, sessions, the registry's only user, security events, operations endpoints."""
