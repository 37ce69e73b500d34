"""Settings of the unit tests; ansible-test uses none from outside the collection."""

from __future__ import annotations

import hypothesis

# The duration of an example depends on the load of the machine, not on the tested code.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")
