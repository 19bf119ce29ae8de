"""The one family of errors the command line shows as a single line."""


class OperatorError(Exception):
    """Something the operator can mend: the message says what, where and what to do next.

    `lab` prints it as one line and exits with code 2; nothing was half-applied.
    """
