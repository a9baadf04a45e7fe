"""SMTP: a pure conversation (RFC 5321, RFC 2920) under a thin loop that serves many connections from one thread."""

from jlgc_mailer.sending.transports.smtp.relay import Auth, Relay, Security, Timeouts
from jlgc_mailer.sending.transports.smtp.wire import SmtpTransport

__all__ = ["Auth", "Relay", "Security", "SmtpTransport", "Timeouts"]
