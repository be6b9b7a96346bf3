"""Everything about serving that is not a model: errors, limits, auth, telemetry, queueing, hosting."""
