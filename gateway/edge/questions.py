"""What live sessions have asked control about what goes on in them, and its answers."""

from gateway.edge.certificate_requests import CertificateRequests
from gateway.edge.control_link import ControlLink
from gateway.edge.image_checks import ImageChecks
from gateway.edge.password_changes import PasswordChanges
from gateway.edge.taken_profiles import TakenProfiles
from gateway.link.images import ImageChecked
from gateway.link.messages import CertificateRequestTaken, PasswordNoted, ProfileNoted

__all__ = ["Questions"]


class Questions:
    """All of a worker, by what they are about."""

    def __init__(self, link: ControlLink) -> None:
        self.certificates = CertificateRequests(link)
        self.passwords = PasswordChanges(link)
        self.profiles = TakenProfiles(link)
        self.images = ImageChecks(link)

    def told(self, answer: CertificateRequestTaken | PasswordNoted | ProfileNoted | ImageChecked) -> None:
        """Control has answered one."""
        match answer:
            case CertificateRequestTaken():
                self.certificates.told(answer)
            case PasswordNoted():
                self.passwords.told(answer)
            case ProfileNoted():
                self.profiles.told(answer)
            case ImageChecked():
                self.images.told(answer)

    def again(self) -> None:
        """Another control process may be there, which has never heard of any."""
        for each in (self.certificates, self.passwords, self.profiles, self.images):
            each.again()

    def ended(self, session: str) -> None:
        """A session is over: nothing more is done in it. A profile that was taken there is told all the same."""
        for each in (self.certificates, self.passwords, self.images):
            each.ended(session)
