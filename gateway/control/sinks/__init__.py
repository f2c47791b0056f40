"""Sinks: receivers that follow the audit log, each at its own pace."""
