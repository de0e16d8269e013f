"""What Prometheus and OpenTelemetry see."""
