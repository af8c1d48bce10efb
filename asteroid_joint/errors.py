"""Errors whose message is one sentence for the user, printed without a traceback."""


class UserError(Exception):
    """Something the user can fix: the message says what to do."""


class ConfigError(UserError, ValueError):
    """A name or option that does not exist."""


class AudioError(UserError):
    """An input that cannot be separated."""


class ModelOutputError(AudioError):
    """What a model made of a recording cannot be used; the message does not name the recording."""


class OutputError(AudioError):
    """Results that cannot be written, for a reason other than the input."""


class CheckpointError(UserError, ValueError):
    """A model file that cannot be used."""


class DataError(UserError, ValueError):
    """A dataset folder or label file that is not as documented."""
