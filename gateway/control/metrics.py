"""Metrics of the whole gateway in Prometheus' text form: what edges count, summed so that restarts do not go back."""

import re
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["MetricsPage"]

_SAMPLE: Final = re.compile(r"([a-z_]+)(?:\{(.*)\})?")
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_HELP: Final = {
    "ocpp_gateway_connections_total": "TCP connections accepted on a listener",
    "ocpp_gateway_sessions_opened_total": "Sessions admitted and connected to the CSMS",
    "ocpp_gateway_sessions": "Live sessions",
    "ocpp_gateway_handshakes": "Connections that are not admitted yet",
    "ocpp_gateway_refusals_total": "Connections refused before admission was asked of control",
    "ocpp_gateway_tolerances_used_total": "Connections admitted only because of a tolerance in the registry",
    "ocpp_gateway_security_events_total": "Security events; mode monitor: of a gate or rule that only watches",
    "ocpp_gateway_security_events_dropped_total": "Security events not recorded because too many were waiting",
    "ocpp_gateway_recorded_total": "Frames handed to the recording",
    "ocpp_gateway_recording_lost_total": "Frames missing in the recording because they came too fast",
    "ocpp_gateway_recording_unreadable_total": "Frames not recorded because they are no OCPP messages",
    "ocpp_gateway_recording_unwritten_total": "Frames missing in the recording because its file could not be written",
    "ocpp_gateway_audit_running": "1 while the audit log is written",
    "ocpp_gateway_audit_records": "Durable records in the current shard of the audit log",
    "ocpp_gateway_audit_waiting_records": "Records that wait to be written",
    "ocpp_gateway_audit_checkpoint_age_seconds": "Since the last checkpoint",
    "ocpp_gateway_audit_lost_total": "Records that are not in the audit log, by class",
    "ocpp_gateway_sink_behind_records": "Records of the audit log that a sink does not have yet",
    "ocpp_gateway_sink_behind_seconds": "For how long a sink has been behind",
    "ocpp_gateway_sink_delivered_total": "Records delivered to a sink since the start",
    "ocpp_gateway_sink_dead_letters_total": "Records that a sink's format cannot say",
    "ocpp_gateway_policy_info": "Revision of the rule packs in force, as a label",
    "ocpp_gateway_policy_age_seconds": "Since the policy in force was read and found good",
    "ocpp_gateway_policy_rules_degraded": "Rules that err in more than 1 % of their evaluations under the revision in force",
    "ocpp_gateway_policy_errors_total": "Evaluations without a value, of rules that have had one, under the revision in force",
    "ocpp_gateway_policy_evaluations_total": "Evaluations of those rules",
    "ocpp_gateway_policy_overflows_total": "Keys of a rule's counter that had to share one because they were too many",
    "ocpp_gateway_revocation_list_seconds_left": "How long the revocation list of another CA is good; negative: run out",
    "ocpp_gateway_server_certificate_seconds_left": "How long a certificate of the listeners' own is good",
    "ocpp_gateway_server_certificate_renewal_failures": "How often in a row its renewal has failed",
    "ocpp_gateway_ocsp_failures_total": "Questions to OCSP responders of other CAs that gave no answer to be believed",
    "ocpp_gateway_own_revocation_list_seconds_left": "How long the published list of an issuing CA of ours is good",
    "ocpp_gateway_own_ocsp_responses": "Certificates of an issuing CA of ours with an OCSP response",
    "ocpp_gateway_certificates": "Certificates that the registry knows, by state",
    "ocpp_gateway_certificate_days_to_nearest_end": "Days until the first certificate in force ends that has no successor",
    "ocpp_gateway_messages_total": "Messages relayed or judged, by who sent them",
    "ocpp_gateway_message_bytes_total": "Payload bytes of those messages",
}


class _Collector:
    """Adapts a dict of samples to prometheus_client."""

    def __init__(self, samples: dict[str, float]) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        """Metric families."""
        families: dict[str, tuple[list[str], list[tuple[list[str], float]]]] = {}
        for sample, value in sorted(self._samples.items()):
            match = _SAMPLE.fullmatch(sample)
            if match is None:
                continue
            labels = _LABEL.findall(match[2] or "")
            names, values = families.setdefault(match[1], ([name for name, _ in labels], []))
            del names
            values.append(([text for _, text in labels], value))
        for name, (labels_of, values) in families.items():
            text = _HELP.get(name, name.replace("_", " "))
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=labels_of)
            for label_values, value in values:
                family.add_metric(label_values, value)
            yield family


def _add(sums: dict[str, float], counters: dict[str, float]) -> None:
    for name, value in counters.items():
        sums[name] = sums.get(name, 0.0) + value


class MetricsPage:
    """Sums the edges' absolute counters; what a dead edge had counted is kept."""

    def __init__(self) -> None:
        self._kept: dict[str, float] = {}
        self._away: dict[int, tuple[int, dict[str, float]]] = {}
        """By slot: the process whose link is down, and what it had counted. It may come back and count on."""

    def edge_lost(self, slot: int, pid: int, counters: dict[str, float]) -> None:
        """The link of an edge is down: its counters (not its gauges) stay part of the sums."""
        self.edge_came(slot, 0)
        self._away[slot] = pid, {name: value for name, value in counters.items() if "_total" in name}

    def edge_came(self, slot: int, pid: int) -> None:
        """An edge is there. The same process counts on from where it was; another one starts at nothing."""
        known, counters = self._away.pop(slot, (pid, {}))
        if known != pid:
            _add(self._kept, counters)

    def render(self, edges: Iterable[dict[str, float]], own: dict[str, float]) -> bytes:
        """The page."""
        samples = dict(self._kept)
        for counters in (*(counters for _, counters in self._away.values()), *edges, own):
            _add(samples, counters)
        registry = CollectorRegistry()
        registry.register(_Collector(samples))
        return generate_latest(registry)
