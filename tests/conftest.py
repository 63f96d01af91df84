"""What every test of this project shares: none fails because the machine is slow.

A test may say more in its own `settings`; a profile that Hypothesis has chosen by itself, as it does in CI, stays.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
