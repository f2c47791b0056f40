"""Certificates for our own servers from an ACME CA (RFC 8555)."""
