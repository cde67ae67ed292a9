"""Description of the operation that returns the metrics for Prometheus (`web/endpoints/metrics.py`)."""

from claude_gateway.openapi.spec import OperationSpec, ResponseSpec, Tag

GET_METRICS = OperationSpec(
    Tag.HEALTH,
    "Get metrics for Prometheus",
    {200: ResponseSpec("Counters, histograms and gauges in Prometheus' text format.", content_type="text/plain")},
    error_statuses=(403,),
)
