"""The journal: the file of records together with what they amount to."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pki.chained_file import ChainedFile, Position
from pki.errors import Reason, Refused
from pki.inventory import Inventory, RequestEntry
from pki.issuer import crl_address
from pki.keys import SubjectKey
from pki.records import Intended, Issued, JournalRecord, Received, Requested
from pki.signing import certificate_of, unsigned_certificate

__all__ = ["Journal"]


class Journal:
    """One CA's journal. Raises JournalDamaged, JournalInUse, Misconfigured, OSError when it is opened.

    `whole`: read from its first record on, and its snapshot compared with that.
    """

    def __init__(self, path: Path, *, read_only: bool = False, whole: bool = False) -> None:
        self.inventory = Inventory()
        self._file: ChainedFile[JournalRecord] = ChainedFile(
            path, JournalRecord, self.inventory.apply, read_only=read_only, folded=self.inventory, whole=whole
        )

    def close(self) -> None:
        """Lets another process write it."""
        self._file.close()

    @property
    def size_bytes(self) -> int:
        """Of the records that it has."""
        return self._file.size_bytes

    def catch_up(self) -> None:
        """Read what another process has appended. Raises JournalDamaged, OSError; to be opened anew after that."""
        self._file.catch_up()

    @property
    def head(self) -> Position:
        """How far it has got."""
        return self._file.head

    @property
    def has_wrong_snapshot(self) -> bool:
        """Read whole, it was not what its snapshot had said; that is mended, and somebody should ask why."""
        return self._file.has_wrong_snapshot

    @property
    def cut_off_bytes(self) -> int:
        """What a crash had left half-written, when it was opened."""
        return self._file.cut_off_bytes

    def append(self, record: JournalRecord) -> None:
        """Durable when it returns. Raises OSError, and then nothing has been appended."""
        self._file.append(record)

    def digest_at(self, sequence: int) -> bytes | None:
        """Of the record with this number; None if there is none yet."""
        return self._file.digest_at(sequence)

    def signed_parts(self, serial: int) -> tuple[bytes, bytes]:
        """Body and signature of a certificate; empty what there is not."""
        entry = self.inventory.certificates.get(serial)
        if entry is None or not entry.intended:
            return b"", b""
        intent = self._file.read(entry.intended)
        if isinstance(intent, Received):
            received = x509.load_der_x509_certificate(intent.chain[0])
            return received.tbs_certificate_bytes, received.signature
        issued = self._file.read(entry.issued) if entry.issued else None
        assert isinstance(intent, Intended)
        return intent.tbs, issued.signature if isinstance(issued, Issued) else b""

    def crl_address(self, serial: int) -> str:
        """Where a certificate, or what was intended to be one, says that its revocation list is; empty if it does not."""
        tbs, _ = self.signed_parts(serial)
        return crl_address(unsigned_certificate(tbs)) if tbs else ""

    def certificate(self, serial: int) -> x509.Certificate:
        """One that was issued. Raises Refused."""
        tbs, signature = self.signed_parts(serial)
        if not signature:
            raise Refused(Reason.CERTIFICATE_UNKNOWN, f"{serial:x}")
        return x509.load_der_x509_certificate(certificate_of(tbs, signature))

    def received_chain(self, serial: int) -> tuple[x509.Certificate, ...]:
        """One that another CA has issued, with those above it as they came. Raises Refused."""
        entry = self.inventory.certificates.get(serial)
        record = self._file.read(entry.issued) if entry is not None and entry.issued else None
        if not isinstance(record, Received):
            raise Refused(Reason.CERTIFICATE_UNKNOWN, f"{serial:x}")
        return tuple(map(x509.load_der_x509_certificate, record.chain))

    def key_of(self, request: RequestEntry) -> SubjectKey:
        """The public key that a request came with; the policy that it met may have changed since."""
        record = self._file.read(request.sequence)
        assert isinstance(record, Requested)
        key = load_der_public_key(record.spki)
        assert isinstance(key, SubjectKey)
        return key
