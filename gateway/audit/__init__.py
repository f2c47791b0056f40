"""Core of the audit trail. So far: the vocabulary of security events; no file, clock or socket is touched here."""
