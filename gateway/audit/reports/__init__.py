"""Core: what the audit log shows about the controls of a regulation or standard. It supports a claim; it makes nobody compliant."""
