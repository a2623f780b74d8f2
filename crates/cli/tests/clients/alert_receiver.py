#!/usr/bin/env python3
"""Receivers of alerts: a webhook that checks the signature, and a submission server that demands STARTTLS and a password.

usage: alert_receiver.py http PORT OUT KEY
       alert_receiver.py smtp PORT OUT CERTIFICATE TLSKEY USER PASSWORD
Appends what came to OUT, a line of JSON each.
"""

import email
import email.policy
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import threading
import time


def keep(out, value):
    with open(out, "a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def webhook(port, out, key):
    with open(key, encoding="utf-8") as file:
        secret = file.read().strip().encode()

    class Hook(http.server.BaseHTTPRequestHandler):
        count = 0

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            parts = dict(part.split("=") for part in self.headers["drieslot-signature"].split(","))
            expected = hmac.new(secret, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
            good = hmac.compare_digest(expected, parts["v1"]) and abs(time.time() - int(parts["t"])) < 60
            Hook.count += 1
            # The first is asked to come again.
            status = 503 if Hook.count == 1 else 204 if good else 403
            if status != 503:
                keep(out, {"good": good, "id": self.headers["drieslot-alert"], "body": body.decode()})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Hook).serve_forever()


def submission(port, out, certificate, key, user, password):
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Inbox:
        async def handle_DATA(self, server, session, envelope):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            attached = [part.get_content() for part in message.iter_attachments()]
            keep(out, {"id": message["message-id"], "subject": message["subject"], "to": envelope.rcpt_tos,
                       "text": message.get_body(("plain",)).get_content(), "tls": session.ssl is not None,
                       "json": attached[0] if isinstance(attached[0], str) else attached[0].decode()})
            return "250 OK"

    def sign_in(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    Controller(Inbox(), hostname="127.0.0.1", port=int(port), tls_context=context, require_starttls=True,
               authenticator=sign_in, auth_required=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    {"http": webhook, "smtp": submission}[sys.argv[1]](*sys.argv[2:])
