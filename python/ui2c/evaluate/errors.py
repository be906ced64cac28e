"""What goes wrong in an evaluation."""


class ConfigError(ValueError):
    """A configuration, or a file of results, is not what it should be; says where."""


class CodecError(RuntimeError):
    """A codec did not do what it was asked for."""
