"""Settings of the unit tests; ansible-test takes none from outside the collection."""

from __future__ import annotations

import hypothesis

# How long an example takes says how busy the machine is, and nothing about what is tested.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")
