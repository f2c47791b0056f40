"""Records of sessions: byte for byte what the general envelope makes of the same facts."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.record import Stamp, envelope
from gateway.audit.session_records import Traffic, session_closed_record, session_opened_record

STAMP = Stamp(id="i", ts_us=2**50, mono_ns=7, node="n", boot="b", worker="control", seq=1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
number = st.integers(0, 2**53 - 1)


OPENED = {
    "charge_point_id": text,
    "session": text,
    "address": text,
    "listener": text,
    "certificate_sha256": text,
    "security_profile": st.integers(0, 3),
    "proof": st.sampled_from(["CertificateProof", "PasswordProof"]),
    "subprotocol": text,
    "csms": text,
    "group": text,
}


@given(st.fixed_dictionaries(OPENED))
def test_opened(facts):
    assert session_opened_record(STAMP, **facts) == envelope(
        "session.opened",
        STAMP,
        sev="info",
        cp=facts["charge_point_id"],
        proven=True,
        sess=facts["session"],
        peer={"ip": facts["address"], "listener": facts["listener"], "cert": facts["certificate_sha256"]},
        auth={"profile": facts["security_profile"], "proof": facts["proof"]},
        ocpp={"version": facts["subprotocol"]},
        csms=facts["csms"],
        group=facts["group"],
    )


@given(text, text, text, number, number, number, number)
def test_closed(identity, session, reason, cp_messages, csms_messages, cp_bytes, csms_bytes):
    traffic = {
        "cp_messages": cp_messages,
        "csms_messages": csms_messages,
        "cp_bytes": cp_bytes,
        "csms_bytes": csms_bytes,
    }
    assert session_closed_record(
        STAMP, charge_point_id=identity, session=session, reason=reason, traffic=Traffic(**traffic)
    ) == envelope(
        "session.closed",
        STAMP,
        sev="info",
        cp=identity,
        proven=True,
        sess=session,
        dec={"reason": reason},
        traffic=traffic,
    )
