"""ui2c: a neural video codec that people can use."""
