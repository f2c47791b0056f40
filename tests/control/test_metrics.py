"""The metrics page: sums that never go back."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.control.metrics import MetricsPage

TOTAL, GAUGE = "ocpp_gateway_connections_total", "ocpp_gateway_sessions"


def values(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read by Prometheus' own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_counters_and_gauges_of_all_edges_are_summed_and_labels_kept() -> None:
    page = MetricsPage().render(
        [{f'{TOTAL}{{listener="tls"}}': 2.0, GAUGE: 1.0}, {f'{TOTAL}{{listener="tls"}}': 3.0, GAUGE: 4.0}],
        {"ocpp_gateway_edges": 2.0},
    )
    assert values(page) == {
        (TOTAL, (("listener", "tls"),)): 5.0,
        (GAUGE, ()): 5.0,
        ("ocpp_gateway_edges", ()): 2.0,
    }
    assert b"# HELP ocpp_gateway_connections_total TCP connections accepted on a listener" in page
    assert b"# TYPE ocpp_gateway_sessions gauge" in page


def test_a_sample_of_another_form_is_left_out() -> None:
    assert values(MetricsPage().render([{"Not-A-Metric": 1.0}], {})) == {}


def test_what_a_dead_edge_had_counted_stays_and_its_gauges_go() -> None:
    metrics = MetricsPage()
    metrics.edge_lost(0, 100, {TOTAL: 5.0, GAUGE: 3.0})
    assert values(metrics.render([], {})) == {(TOTAL, ()): 5.0}
    metrics.edge_came(0, 101)
    assert values(metrics.render([{TOTAL: 2.0, GAUGE: 1.0}], {})) == {(TOTAL, ()): 7.0, (GAUGE, ()): 1.0}


def test_an_edge_whose_link_was_down_counts_on_and_nothing_counts_twice() -> None:
    metrics = MetricsPage()
    for total in (5.0, 8.0):
        metrics.edge_came(0, 100)
        assert values(metrics.render([{TOTAL: total}], {})) == {(TOTAL, ()): total}
        metrics.edge_lost(0, 100, {TOTAL: total})
        assert values(metrics.render([], {})) == {(TOTAL, ()): total}


def test_edges_that_die_one_after_the_other_all_stay() -> None:
    metrics = MetricsPage()
    for pid in range(1, 4):
        metrics.edge_came(0, pid)
        metrics.edge_lost(0, pid, {TOTAL: 1.0})
    metrics.edge_lost(1, 9, {TOTAL: 1.0})
    assert values(metrics.render([], {})) == {(TOTAL, ()): 4.0}
