"""What all tests share: properties are held to no clock, since machines that test are busy."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
