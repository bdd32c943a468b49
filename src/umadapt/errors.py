"""The exceptions that are messages to the user: the command line prints them in plain lines, without a traceback."""


class UserError(Exception):
    """A mistake in what was given: says what was found, what was expected, and what to type next. Exit code 2."""


class LostRank(Exception):
    """Another process of the job is gone, so that this one cannot go on either. Exit code 1."""
