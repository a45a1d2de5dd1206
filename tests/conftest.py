"""What all tests share: how hypothesis goes about its work on a machine that may be busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("counterfoil", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("counterfoil")
