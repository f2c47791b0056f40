"""Core: the OCPP-J RPC layer. Vocabulary, frames, the strict codec, error codes. No policy and no I/O."""
