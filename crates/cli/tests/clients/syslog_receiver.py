#!/usr/bin/env python3
"""A syslog receiver written from RFC 5424, RFC 6587 (octet counting), RFC 5425 and RFC 5426; strict.

usage: syslog_receiver.py tcp|tls|udp PORT OUT [CERTIFICATE KEY]
Appends each message to OUT as a line of JSON; what is malformed ends it with an error.
"""

import json
import os
import re
import socket
import ssl
import sys
import threading

NAME = r'[!#-<>-\\^-~]{1,32}'
VALUE = r'(?:[^"\\\]]|\\["\\\]])*'
PARAM = r' (%s)="(%s)"' % (NAME, VALUE)
PARAMS = r'(?: %s="%s")*' % (NAME, VALUE)
HEADER = re.compile(
    r"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) "
    r"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    r"\[(%s)(%s)\] \ufeff(.*)" % (NAME, PARAMS),
    re.DOTALL,
)


def parse(message):
    found = HEADER.fullmatch(message.decode("utf-8"))
    if not found:
        raise ValueError("not RFC 5424: %r" % message)
    priority, time, host, app, process, kind, sd_id, params, text = found.groups()
    if int(priority) > 191:
        raise ValueError("priority %s" % priority)
    data = {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in re.findall(PARAM, params)}
    return {"priority": int(priority), "time": time, "host": host, "app": app, "kind": kind, "sd_id": sd_id,
            "data": data, "text": text}


LOCK = threading.Lock()


def keep(out, message):
    try:
        line = json.dumps(parse(message))
    except ValueError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    with LOCK, open(out, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def frames(stream, out):
    while True:
        length = b""
        while not length.endswith(b" "):
            byte = stream.read(1)
            if not byte:
                return
            length += byte
        if not re.fullmatch(rb"[1-9]\d{0,7} ", length):
            print("no length: %r" % length, file=sys.stderr, flush=True)
            os._exit(1)
        message = stream.read(int(length))
        if len(message) < int(length):
            return
        keep(out, message)


def serve(connection, context, out):
    try:
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        frames(connection.makefile("rb"), out)
    except (OSError, ssl.SSLError):
        pass


def main(mode, port, out, *pair):
    if mode == "udp":
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", int(port)))
        # So that the starter sees that it listens.
        with socket.create_server(("127.0.0.1", int(port))):
            while True:
                keep(out, datagrams.recv(65535))
    context = None
    if mode == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
    server = socket.create_server(("127.0.0.1", int(port)), reuse_port=True)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection, context, out), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
