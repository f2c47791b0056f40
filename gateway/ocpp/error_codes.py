"""CALLERROR codes: one meaning, and how each version spells it (OCPP-J 1.6 table 7 with errata, part 4 4.3)."""

from enum import Enum

from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["ErrorMeaning", "meaning_of", "spell"]


class ErrorMeaning(Enum):
    """What an error says, whatever the version calls it."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL = "InternalError"
    PROTOCOL = "ProtocolError"
    SECURITY = "SecurityError"
    FORMAT = "FormatViolation"
    PROPERTY_CONSTRAINT = "PropertyConstraintViolation"
    OCCURRENCE_CONSTRAINT = "OccurrenceConstraintViolation"
    TYPE_CONSTRAINT = "TypeConstraintViolation"
    GENERIC = "GenericError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    RPC_FRAMEWORK = "RpcFrameworkError"


_SPELLED_IN_1_6 = {
    ErrorMeaning.FORMAT: "FormationViolation",
    # One r: official, and "will not be fixed" (erratum 5.1).
    ErrorMeaning.OCCURRENCE_CONSTRAINT: "OccurenceConstraintViolation",
    # 1.6 has no code for these two; the nearest one it has.
    ErrorMeaning.MESSAGE_TYPE_NOT_SUPPORTED: "ProtocolError",
    ErrorMeaning.RPC_FRAMEWORK: "FormationViolation",
}
_READ = {meaning.value: meaning for meaning in ErrorMeaning} | {
    "FormationViolation": ErrorMeaning.FORMAT,
    "OccurenceConstraintViolation": ErrorMeaning.OCCURRENCE_CONSTRAINT,
}


def spell(meaning: ErrorMeaning, version: OCPPVersion) -> str:
    """The exact code to send in this version."""
    if version is OCPPVersion.V1_6:
        return _SPELLED_IN_1_6.get(meaning, meaning.value)
    return meaning.value


def meaning_of(code: str) -> ErrorMeaning | None:
    """What a received code means, either spelling in any version (libraries mix them); None if it is not a code."""
    return _READ.get(code)
