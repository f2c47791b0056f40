"""The audit log on disk: files and segments, recovery, the shard that grows, verification, search, proofs."""
