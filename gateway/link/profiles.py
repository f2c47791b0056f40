"""What an edge tells control of a security profile that a charge point has taken from its CSMS, and that control has it."""

import msgspec

from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile

__all__ = ["ProfileNoted", "ProfileSeen"]


class ProfileSeen(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """The charge point has taken a higher security profile from its CSMS. Answered by ProfileNoted with the same request_id.

    It may come twice, to different control processes.
    """

    request_id: int
    session: str
    charge_point_id: ChargePointId
    security_profile: SecurityProfile


class ProfileNoted(msgspec.Struct, frozen=True, array_like=True, tag=61):
    """Control has done with a ProfileSeen what there was to do."""

    request_id: int
