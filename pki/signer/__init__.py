"""The signer: a process that holds the issuing keys, looks at every order itself, and keeps a list of all it signed.

`python -m pki.signer --directory DIR` runs it. It needs no network and no database.
"""

__all__: list[str] = []
