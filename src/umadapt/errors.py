"""The one exception that is a message to the user: the command line prints it in plain lines and exits with code 2."""


class UserError(Exception):
    """A mistake in what was given: says what was found, what was expected, and what to type next."""
