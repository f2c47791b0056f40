"""When a certificate of ours is renewed: as its CA advises, drawn once for each window; as ever where it says nothing."""

import datetime
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from gateway.control.own_certificate_files import OwnCertificate
from gateway.control.own_certificate_source import CertificateNotHad, Made
from gateway.control.renewal_advice import RenewalAdvisor
from pki.acme.renewal_info import RenewalAdvice
from tests.support.hierarchy import certificate

HOUR = datetime.timedelta(hours=1)
NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Adviser:
    """A CA that says what it is told to say."""

    says: RenewalAdvice | str | None
    asked: list[int] = field(default_factory=list)

    async def issue(self, kind: Any, replaced: x509.Certificate | None = None) -> Made:
        raise NotImplementedError

    async def renewal_advice(self, certificate: x509.Certificate) -> RenewalAdvice | None:
        self.asked.append(certificate.serial_number)
        if isinstance(self.says, str):
            raise CertificateNotHad(self.says)
        return self.says


def own() -> OwnCertificate:
    """Lives from an hour ago to in 29 days."""
    made = certificate("cp.example.com", start=-HOUR, end=29 * 24 * HOUR).certificate
    return OwnCertificate((made,), b"", made.not_valid_before_utc)


def advice(start: datetime.datetime, hours: float = 2, again: datetime.timedelta = HOUR) -> RenewalAdvice:
    return RenewalAdvice(start, start + hours * HOUR, "https://ca.example/why", again)


async def test_the_moment_is_drawn_once_for_a_window_and_anew_for_another() -> None:
    drawn = iter((0.5, 0.25))
    advisor, found = RenewalAdvisor(lambda: next(drawn)), own()
    start = NOW + 100 * HOUR
    ca = Adviser(advice(start, again=datetime.timedelta()))
    for _ in range(3):
        await advisor.ask("ec-p256", found, ca)
    assert advisor.renewal_at("ec-p256", found) == start + HOUR
    assert advisor.explanation("ec-p256", found) == "https://ca.example/why"
    ca.says = advice(start + 100 * HOUR)
    await advisor.ask("ec-p256", found, ca)
    assert advisor.renewal_at("ec-p256", found) == start + 100.5 * HOUR
    assert len(ca.asked) == 4


async def test_it_is_not_asked_again_before_its_time_and_at_once_about_another_certificate() -> None:
    advisor, found, other = RenewalAdvisor(lambda: 0.0), own(), own()
    ca = Adviser(advice(NOW + 100 * HOUR))
    await advisor.ask("ec-p256", found, ca)
    await advisor.ask("ec-p256", found, ca)
    assert len(ca.asked) == 1
    assert advisor.renewal_at("ec-p256", other) == other.renewal_at
    assert advisor.explanation("ec-p256", other) == ""
    await advisor.ask("ec-p256", other, ca)
    await advisor.ask("rsa-2048", other, ca)
    assert len(ca.asked) == 3
    assert advisor.renewal_at("ec-p256", other) == NOW + 100 * HOUR
    advisor.forget()
    assert advisor.renewal_at("ec-p256", other) == other.renewal_at
    await advisor.ask("ec-p256", other, ca)
    assert len(ca.asked) == 4


async def test_a_ca_that_fails_or_has_no_opinion_leaves_it_at_two_thirds_and_is_not_asked_all_the_time() -> None:
    for says in ("HTTP status 500", None):
        advisor, found, ca = RenewalAdvisor(lambda: 0.0), own(), Adviser(says)
        for _ in range(3):
            await advisor.ask("ec-p256", found, ca)
        assert (len(ca.asked), advisor.renewal_at("ec-p256", found)) == (1, found.renewal_at)
