"""Other people's CAs behind one interface: EST, Vault/OpenBao, a command of the operator's own, CMP through openssl.

interface    what a backend does: enroll -> Issued | Pending | Denied, chain, revoke, revocation_source
returned     what comes back is untrusted input: checked before anybody gets it
"""

__all__: list[str] = []
