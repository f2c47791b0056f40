"""Core: RFC 6455 and RFC 7692 without I/O. Strict upgrade heads, frames, reassembly within limits, compression."""
