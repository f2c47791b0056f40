"""What the answer to a setting that the CSMS has changed says, where control has to know of it. Pure."""

from gateway.ocpp.codec import Payload
from gateway.ocpp.password_messages import SETTING_ACTIONS
from gateway.ocpp.profile_messages import profile_given
from gateway.relay.effects import Effects, ProfileTaken
from gateway.relay.open_calls import OpenCall
from gateway.relay.passwords import password_answered

__all__ = ["SETTING_ACTIONS", "setting_answered"]


def setting_answered(asked: OpenCall, result: Payload) -> Effects:
    """Of a call of the CSMS; nothing where two calls had the same id."""
    said = password_answered(asked, result)
    if asked.other is not None or not asked.outer:
        return said
    profile = profile_given(asked.action, asked.payload, result)
    return said if profile is None else (*said, ProfileTaken(profile))
