"""A naive sender: Jinja and an EmailMessage for each recipient, smtplib, one connection, a commit for each message."""

import smtplib
from email import policy
from email.message import EmailMessage

import psycopg
from jinja2 import Environment

from jlgc_mailer.render.source import Compiled


class NaiveSender:
    """It sends the texts of a compiled edition, which it takes as templates."""

    def __init__(self, database: str, compiled: Compiled) -> None:
        self._database = database
        self._subject = compiled.subject
        environment = Environment(autoescape=True)
        sources = compiled.text, compiled.html
        self._text, self._html = (environment.from_string(_template(compiled, source)) for source in sources)
        self._fields = {slot.field for slot in compiled.slots}
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS naive (id int PRIMARY KEY, sent_at timestamptz)")

    def send(self, port: int, messages: int) -> None:
        """So many messages, one after the other."""
        with psycopg.connect(self._database) as connection, smtplib.SMTP("127.0.0.1", port) as smtp:
            connection.execute("TRUNCATE naive")
            connection.execute("INSERT INTO naive SELECT generate_series(1, %s)", (messages,))
            connection.commit()
            for number in range(1, messages + 1):
                message = self._message(number)
                smtp.sendmail("bounce@example.org", [f"reader{number}@example.com"], message.as_bytes())
                connection.execute("UPDATE naive SET sent_at = now() WHERE id = %s", (number,))
                connection.commit()

    def _message(self, number: int) -> EmailMessage:
        values = dict.fromkeys(self._fields, f"Reader {number}")
        message = EmailMessage(policy=policy.SMTP)
        message["From"], message["To"] = "News <news@example.org>", f"Reader {number} <reader{number}@example.com>"
        message["Subject"] = self._subject
        message.set_content(self._text.render(values))
        message.add_alternative(self._html.render(values), subtype="html")
        return message


def _template(compiled: Compiled, source: str) -> str:
    for slot in compiled.slots:
        source = source.replace(slot.mark, f"{{{{ {slot.field} }}}}")
    return source
