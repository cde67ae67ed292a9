"""Prometheus metrics, and OpenTelemetry traces of requests and jobs."""
