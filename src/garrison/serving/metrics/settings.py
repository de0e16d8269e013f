"""What can be configured of metrics and traces."""

from typing import Annotated

import msgspec

from garrison.serving.config.paths import ConfigPath


class Traces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where spans go, by OpenTelemetry's protocol over HTTP."""

    address: str = ""
    """Of a collector: `http://127.0.0.1:4318/v1/traces`; without one nothing is traced."""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    """Of calls that are traced, where the caller has not begun a trace."""
    trust_callers: bool = False
    """Whether the trace that a caller has begun is continued, and whether it is kept as the caller says."""
    headers_file: ConfigPath = ""
    """A file of `name: value` lines for the collector, such as its key."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where metrics and traces go."""

    listen: str = ""
    """Address and port at which Prometheus may ask; they are served nowhere else."""
    traces: Traces = Traces()
