"""Messages by SMTP, encrypted unless that is said otherwise."""

import contextlib
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from garrison.serving.alerts.channels.posting import Undelivered
from garrison.serving.alerts.channels.words import lines, title
from garrison.serving.alerts.groups import Notification
from garrison.serving.alerts.settings import Email
from garrison.serving.config.secrets import secret
from garrison.sources.connections import said


def send(channel: Email, notification: Notification, guard: str) -> None:
    message = composed(channel, notification, guard)
    context = ssl.create_default_context(cafile=channel.authorities or None)
    where = f"{channel.host}:{channel.port}"
    try:
        with contextlib.ExitStack() as stack:
            if channel.encryption == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    channel.host, channel.port, timeout=channel.timeout, context=context
                )
            else:
                server = smtplib.SMTP(channel.host, channel.port, timeout=channel.timeout)
            stack.enter_context(server)
            if channel.encryption == "starttls":
                server.starttls(context=context)
            if channel.user:
                server.login(channel.user, secret(channel.password_file))
            server.send_message(message)
    except smtplib.SMTPAuthenticationError:
        raise Undelivered(f"{where} does not take the password", lasting=True) from None
    except smtplib.SMTPRecipientsRefused:
        raise Undelivered(f"{where} takes none of the addresses", lasting=True) from None
    except smtplib.SMTPException as error:
        raise Undelivered(f"{where} did not take the message: {type(error).__name__}") from None
    except OSError as error:
        raise Undelivered(f"{where} does not answer: {said(error)}") from None


def composed(channel: Email, notification: Notification, guard: str) -> EmailMessage:
    """The message. What came from callers cannot begin a header of its own."""
    message = EmailMessage()
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.to)
    message["Subject"] = "".join(c if c.isprintable() else " " for c in title(notification, guard))[:200]
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="garrison")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines(notification)) + "\n")
    return message
