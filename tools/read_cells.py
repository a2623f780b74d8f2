#!/usr/bin/env python3
"""Reads Drieslot cells without Drieslot: written from docs/format.md, needs only the package `cryptography`.

  read_cells.py vectors vectors/cells
  read_cells.py open --structure FILE --access FILE --keys FILE [--shares] --tenant T --domain D --epoch N \\
                --column SCHEMA TABLE COLUMN --type TYPE --protection PROTECTION [--search] < cells

FILE holds a function secret (or with --shares, a share) as 64 hexadecimal digits or as 32 bytes. Cells are read one a line in
hexadecimal, with or without \\x, as `COPY (SELECT column FROM table) TO STDOUT` gives them; \\N is NULL.
"""
import argparse
import hmac
import json
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from cell_values import CellError, code_of, family_of, is_padded, require, text_of

FUNCTIONS = ("structure", "access", "keys")
PROTECTIONS = {"sealed": 1, "exact": 2, "ordered": 3}
ORDER_BITS = {"smallint": 16, "integer": 32, "date": 32, "real": 32}


def part(data):
    return struct.pack(">I", len(data)) + data


def mac(key, data):
    return hmac.digest(key, data, "sha256")


def expand(prk, info):
    return mac(prk, info + b"\x01")


class DomainKey:
    def __init__(self, tenant, domain, epoch, shares=None, secrets=None):
        self.tenant, self.domain, self.epoch = tenant.encode(), domain.encode(), epoch
        context = part(self.tenant) + part(self.domain) + part(struct.pack(">H", epoch))
        self.shares = shares or [mac(secret, context) for secret in secrets]
        self.key = expand(mac(b"drieslot domain key v1", b"".join(self.shares)), context)

    def share_checks(self):
        return [mac(share, b"drieslot share check v1") for share in self.shares]

    def check(self):
        return expand(self.key, b"drieslot key check v1")

    def open(self, cell, column, type_name, protection, search=False):
        """The canonical plaintext of a cell."""
        code, family = PROTECTIONS[protection], family_of(type_name)
        front = 3 + (order_code_length(type_name) if code == 3 else 0)
        front += 3 + int.from_bytes(cell[3:6], "big") if search else 0
        require(len(cell) >= 3, "not a cell")
        require(cell[0] >> 4 == 1, "unknown version")
        require(cell[0] & 15 == code + 8 * search, "wrong protection")
        require(struct.unpack(">H", cell[1:3])[0] == self.epoch, "other epoch")
        require(len(cell) >= front + (28 if code == 1 else 16), "not a cell")
        data = part(self.tenant) + part(self.domain) + part(bytes([code + 8 * search]))
        data += part(struct.pack(">H", self.epoch)) + part(bytes([code_of(family)]))
        if code == 1:
            data += b"".join(part(name.encode()) for name in column)
            nonce, body = cell[front:front + 12], cell[front + 12:]
        else:
            nonce, body = bytes(12), cell[front + 16:] + cell[front:front + 16]
        data += part(cell[3:front]) if front > 3 else b""
        try:
            cipher = AESGCMSIV(expand(self.key, f"drieslot {protection} key v1".encode()))
            plain = cipher.decrypt(nonce, body, data)
        except (InvalidTag, ValueError):  # some versions raise ValueError where nothing but a tag is left
            raise CellError("refused") from None
        return unpad(plain) if is_padded(family) else plain


def order_code_length(type_name):
    if family_of(type_name) == "numeric":
        return (2 * 10 ** int(type_name.split("(")[1].split(",")[0])).bit_length()
    return ORDER_BITS.get(family_of(type_name), 64)


def length_class(length):
    n, step = length + 1, 16
    while n > step * 16:
        step *= 2
    return -(-n // step) * step


def unpad(plain):
    value = plain.rstrip(b"\x00")
    require(value[-1:] == b"\x80" and length_class(len(value) - 1) == len(plain), "refused")
    return value[:-1]


def check_vectors(directory):
    passed = failed = 0

    def count(right, about):
        nonlocal passed, failed
        passed, failed = passed + right, failed + (not right)
        if not right:
            print(f"FAILED {about}")

    for path in sorted(pathlib.Path(directory).glob("*.json")):
        file = json.loads(path.read_text())
        column = file["column"]
        secrets = [bytes.fromhex(file["secrets"][function]) for function in FUNCTIONS]
        key = DomainKey(file["tenant"], file["domain"], file["epoch"], secrets=secrets)
        checks = [file["share_checks"][function] for function in FUNCTIONS]
        count([check.hex() for check in key.share_checks()] == checks, f"{path}: share checks")
        count(key.check().hex() == file["key_check"], f"{path}: key check")
        place, family = (column["schema"], column["table"], column["name"]), family_of(column["type"])
        for vector in file["cells"]:
            try:
                plain = key.open(bytes.fromhex(vector["cell"]), place, column["type"], column["protection"], column.get("search", False))
                found = {"text": text_of(family, plain)}
            except CellError as error:
                found = {"error": str(error)}
            expected = {name: vector[name] for name in ("text", "error") if name in vector}
            count(found == expected, f"{path}: {vector['note']}: {found}, expected {expected}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def secret_of(path):
    data = pathlib.Path(path).read_bytes()
    data = data if len(data) == 32 else bytes.fromhex(data.decode("ascii"))
    return data if len(data) == 32 else sys.exit(f"{path} does not hold 32 bytes")


def open_cells(options):
    given = [secret_of(path) for path in (options.structure, options.access, options.keys)]
    named = {"shares" if options.shares else "secrets": given}
    key, family, faults = DomainKey(options.tenant, options.domain, options.epoch, **named), family_of(options.type), 0
    for number, line in enumerate(sys.stdin, 1):
        line = line.strip()
        if line == "\\N":
            print("\\N")
            continue
        try:
            cell = bytes.fromhex(line.lstrip("\\").removeprefix("x"))
            text = text_of(family, key.open(cell, options.column, options.type, options.protection, options.search))
            print(text.translate({92: "\\\\", 9: "\\t", 10: "\\n", 13: "\\r"}))
        except (CellError, ValueError) as error:
            faults += 1
            print(f"line {number}: {error}", file=sys.stderr)
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("vectors").add_argument("directory")
    opener = modes.add_parser("open")
    for name in (*FUNCTIONS, "tenant", "domain", "type"):
        opener.add_argument(f"--{name}", required=True)
    opener.add_argument("--shares", action="store_true")
    opener.add_argument("--search", action="store_true")
    opener.add_argument("--epoch", type=int, required=True)
    opener.add_argument("--column", nargs=3, required=True)
    opener.add_argument("--protection", choices=PROTECTIONS, required=True)
    options = parser.parse_args()
    return check_vectors(options.directory) if options.mode == "vectors" else open_cells(options)


if __name__ == "__main__":
    sys.exit(main())
