"""Certificate requests of all sorts, good and bad."""

from asn1crypto import csr as asn1_csr
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

CN, O = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME  # noqa: E741


def csr_pem(key=None, *names, extensions=(), algorithm=None, common_name="SN-1", organization="CPO") -> str:
    """A PEM request. `names`: (oid, value) pairs instead of the usual two."""
    parts = names or tuple((oid, value) for oid, value in ((O, organization), (CN, common_name)) if value)
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in parts])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    signing = key or ec.generate_private_key(ec.SECP256R1())
    hashed = algorithm or (hashes.SHA256() if hasattr(signing, "key_size") else None)
    return builder.sign(signing, hashed).public_bytes(Encoding.PEM).decode()


def pem(der: bytes, label="CERTIFICATE REQUEST") -> str:
    import base64

    text = base64.b64encode(der).decode()
    lines = "\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def csr_der(text: str) -> bytes:
    return x509.load_pem_x509_csr(text.encode()).public_bytes(Encoding.DER)


def unsigned_rsa_csr(modulus: int, exponent: int = 65537) -> str:
    """A request with any numbers for a key; its signature is nonsense."""
    request = asn1_csr.CertificationRequest.load(csr_der(csr_pem()))
    info = request["certification_request_info"]
    info["subject_pk_info"] = asn1_keys.PublicKeyInfo.wrap(
        asn1_keys.RSAPublicKey({"modulus": modulus, "public_exponent": exponent}), "rsa"
    )
    made = asn1_csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {"algorithm": "sha256_rsa"},
            "signature": b"\0" * 256,
        }
    )
    return pem(made.dump(force=True))
