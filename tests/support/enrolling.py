"""A charge point that asks for its certificates as OCPP says, on `websockets`; and a gateway with an embedded CA for it."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from tests.pki.hierarchy import Hierarchy
from tests.pki.signer_directory import make_signer_directory
from tests.support.rig import GatewayProcess, Rig

__all__ = ["OPERATOR", "EnrollingChargePoint", "with_ca"]

OPERATOR = "CPO"
Key = ec.EllipticCurvePrivateKey


def with_ca(rig: Rig, publication: str = "") -> Hierarchy:
    """The rig's gateway gives charge points their certificates from now on, and believes its own CA.

    `publication`: lines of that table in the issuing CA's settings.
    """
    hierarchy = Hierarchy()
    directory = make_signer_directory(rig.work / "ca" / "signer", hierarchy)
    if publication:
        with (directory / "issuing.toml").open("a") as file:
            file.write(f"[publication]\n{publication}")
    (rig.work / "cp-root.pem").write_bytes(hierarchy.root.public_bytes(Encoding.PEM))
    rig.config["pki"] = {"ca": str(rig.work / "ca")}
    rig.config["csms"][0]["certificates"] = "gateway"
    rig.config["gateway"]["operator_names"] = [OPERATOR]
    for listener in rig.config["listener"]:
        if "tls" in listener:
            listener["tls"]["client_trust"] = [str(rig.work / "cp-root.pem")]
    return hierarchy


class EnrollingChargePoint:
    """Connects again whenever its connection ends. With a certificate it uses profile 3 if `uses_certificate` is set."""

    def __init__(
        self, rig: Rig, identity: str, *, version: str = "ocpp2.0.1", password: str = "", common_name: str = ""
    ) -> None:
        self.rig, self.identity, self.version, self.password = rig, identity, version, password
        self.subject = (common_name or f"SN-{identity}", OPERATOR)
        self.uses_certificate = False
        self.enrols_by_itself = False
        self.answers_delivery = True
        """False: it takes the certificate and dies before it can say so."""
        self.rejects_delivery = False
        """True: it takes no certificate."""
        self.asks_again_first = False
        """True: the same request once more, at the moment when the certificate for it comes, and only then the answer."""
        self.next_key: Key | None = None
        """What the next request is made with, if not with a new key."""
        self.key: Key | None = None
        self.chain = ""
        self._asked_with: Key | None = None
        self._csr = ""
        self.delivered: list[str] = []
        """Serial numbers, in the order in which they came, repetitions included."""
        self.connected_with: list[str] = []
        """Serial number of each connection on profile 3."""
        self.answers: list[tuple[str, Any]] = []
        self.connection: ClientConnection | None = None
        self._open: dict[str, str] = {}
        self._number = 0
        self._files = 0

    @property
    def is_16(self) -> bool:
        return self.version == "ocpp1.6"

    @contextlib.asynccontextmanager
    async def running(self, gateway: GatewayProcess) -> AsyncIterator["EnrollingChargePoint"]:
        task = asyncio.get_running_loop().create_task(self._run(gateway))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, gateway: GatewayProcess) -> None:
        while True:
            with contextlib.suppress(OSError, WebSocketException, EOFError, TimeoutError):
                await self._session(gateway)
            self.connection = None
            await asyncio.sleep(0.1)

    def _tls(self, serial: str) -> ssl.SSLContext:
        context = self.rig.client_tls()
        if serial:
            assert self.key is not None
            self._files += 1
            key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            path = self.rig.write_private(f"{self.identity}-{self._files}.pem", self.chain.encode() + key)
            context.load_cert_chain(path)
        return context

    async def _session(self, gateway: GatewayProcess) -> None:
        serial = self.serial if self.uses_certificate and self.chain else ""
        host, port = gateway.address("mtls" if serial else "tls")
        headers = {}
        if not serial:
            token = base64.b64encode(f"{self.identity}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        async with connect(
            f"wss://localhost:{port}/ocpp/{self.identity}",
            host=host,
            ssl=self._tls(serial),
            subprotocols=[Subprotocol(self.version)],
            additional_headers=headers,
            compression=None,
            open_timeout=10,
        ) as connection:
            self.connection = connection
            if serial:
                self.connected_with.append(serial)
            await self._call(connection, "BootNotification", self._boot())
            if self._csr and self._asked_with is not None:
                await self._send_csr(connection)  # A02.FR.17: the same request again
            elif self.enrols_by_itself:
                self.enrols_by_itself = False
                await self.ask(connection)
            async for text in connection:
                await self._received(connection, str(text))

    def _boot(self) -> dict[str, Any]:
        if self.is_16:
            return {"chargePointVendor": "V", "chargePointModel": "M"}
        return {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}

    @property
    def serial(self) -> str:
        """Of the certificate it would connect with."""
        return f"{x509.load_pem_x509_certificates(self.chain.encode())[0].serial_number:x}"

    # -- what it says

    async def _call(self, connection: ClientConnection, action: str, payload: dict[str, Any]) -> None:
        self._number += 1
        message_id = f"cp-{self._number}"
        self._open[message_id] = action
        await connection.send(json.dumps([2, message_id, action, payload]))

    async def ask(self, connection: ClientConnection) -> None:
        """A new key, and a request for it."""
        self._asked_with = self.next_key or ec.generate_private_key(ec.SECP256R1())
        self.next_key = None
        common_name, organization = self.subject
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._asked_with, hashes.SHA256())
        self._csr = csr.public_bytes(Encoding.PEM).decode()
        await self._send_csr(connection)

    async def _send_csr(self, connection: ClientConnection) -> None:
        payload = {"csr": self._csr}
        if not self.is_16:
            payload["certificateType"] = "ChargingStationCertificate"
        await self._call(connection, "SignCertificate", payload)

    # -- what it hears

    async def _received(self, connection: ClientConnection, text: str) -> None:
        kind, message_id, *rest = json.loads(text)
        if kind != 2:
            self.answers.append((self._open.pop(message_id, "?"), rest[0] if kind == 3 else rest))
            return
        action, payload = rest
        if action in {"TriggerMessage", "ExtendedTriggerMessage"}:
            await connection.send(json.dumps([3, message_id, {"status": "Accepted"}]))
            await self.ask(connection)
        elif action == "CertificateSigned":
            await self._given(connection, message_id, payload["certificateChain"])
        elif action == "GetVariables":
            asked = payload["getVariableData"][0]
            result = {**asked, "attributeStatus": "Accepted", "attributeValue": "10000"}
            await connection.send(json.dumps([3, message_id, {"getVariableResult": [result]}]))
        else:
            await connection.send(json.dumps([4, message_id, "NotImplemented", "", {}]))

    async def _given(self, connection: ClientConnection, message_id: str, chain: str) -> None:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        key = next((key for key in (self._asked_with, self.key) if key and key.public_key() == leaf.public_key()), None)
        self.delivered.append(f"{leaf.serial_number:x}")
        if self.asks_again_first and self._csr:
            await self._send_csr(connection)
        if self.rejects_delivery:
            self._csr = ""  # A02.FR.20: it does not ask again by itself
        if key is None or self.rejects_delivery:
            await connection.send(json.dumps([3, message_id, {"status": "Rejected"}]))
            return
        self.key, self.chain, self._asked_with, self._csr = key, chain, None, ""
        if self.answers_delivery:
            await connection.send(json.dumps([3, message_id, {"status": "Accepted"}]))
        else:
            self.answers_delivery = True
            connection.transport.abort()
            return
        if self.uses_certificate:
            await connection.close()
