#!/usr/bin/env python3
"""Verifies a Drieslot journal's folder (or a mirror of its tiles) without Drieslot.

Written from the C2SP specifications signed-note, tlog-checkpoint and tlog-tiles, and RFC 6962.
It reads `checkpoint` and `tile/` only, as any transparency-log client would: entries after the
checkpoint are not signed yet, and are not looked at.

usage: verify_journal.py FOLDER VKEY
exit:  0 all is as signed; 1 it is not (standard error says what and where); 2 wrong usage
"""

import base64
import hashlib
import json
import os
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


class Wrong(Exception):
    """What is wrong, and where."""


def read_pruned(folder):
    """The minimum index, and the entry that says so; (0, None) where nothing was pruned."""
    try:
        with open(os.path.join(folder, "pruned"), "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return 0, None
    try:
        first, entry = (int(number) for number in text.decode().split(" "))
    except ValueError:
        raise Wrong("pruned: it is not FIRST ENTRY") from None
    if text != b"%d %d\n" % (first, entry) or first <= 0 or first % WIDTH or entry < first:
        raise Wrong("pruned: it is not FIRST ENTRY, with FIRST a multiple of %d" % WIDTH)
    return first, entry


def says_pruned(entry, first):
    try:
        entry = json.loads(entry)
        return entry["kind"] == "prune" and entry["body"]["before"] == first
    except (ValueError, KeyError, TypeError):
        return False


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(entry):
    return sha256(b"\x00" + entry)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def tree_hash(hashes):
    """RFC 6962, 2.1: MTH of a list of hashes of equally high perfect trees."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(tree_hash(hashes[:k]), tree_hash(hashes[k:]))


def parse_vkey(vkey):
    """signed-note: name+hash+base64(type || key)."""
    try:
        name, key_id, encoded = vkey.split("+", 2)
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Wrong("verifier key: expected name+hex+base64") from None
    if len(key) != 33 or key[0] != 1:
        raise Wrong("verifier key: not an Ed25519 key")
    expected = sha256(name.encode() + b"\n" + key)[:4]
    if expected.hex() != key_id:
        raise Wrong("verifier key: the key id is not that of name and key")
    return name, expected, Ed25519PublicKey.from_public_bytes(key[1:])


def open_note(note, vkey):
    """signed-note: the text, if the key signed it."""
    name, key_id, key = parse_vkey(vkey)
    if any(byte < 0x20 and byte != 0x0A for byte in note):
        raise Wrong("checkpoint: control characters")
    text, blank, signatures = note.decode().rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise Wrong("checkpoint: no blank line before the signatures, or no newline at the end")
    text += "\n"
    signed = False
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014":
            raise Wrong("checkpoint: malformed signature line")
        signature = base64.b64decode(parts[2], validate=True)
        if parts[1] == name and signature[:4] == key_id:
            try:
                key.verify(signature[4:], text.encode())
            except InvalidSignature:
                raise Wrong("checkpoint: the signature of %s is wrong" % name) from None
            signed = True
    if not signed:
        raise Wrong("checkpoint: not signed by %s" % vkey)
    return text


def parse_checkpoint(text):
    """tlog-checkpoint: origin, size, root; extension lines are refused."""
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0] or not lines[1].isdigit() or str(int(lines[1])) != lines[1]:
        raise Wrong("checkpoint: the text is not origin, size and root")
    root = base64.b64decode(lines[2], validate=True)
    if len(root) != 32:
        raise Wrong("checkpoint: the root has not 32 bytes")
    return lines[0], int(lines[1]), root


def index_path(n):
    """tlog-tiles: three digits a path element, all but the last marked with x."""
    elements = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        elements.insert(0, "x%03d" % (n % 1000))
    return "/".join(elements)


def read_tile(folder, level, n, width):
    """The partial tile, or the full one that replaced it: (path, bytes, how many it holds)."""
    path = "tile/%s/%s" % (level, index_path(n))
    candidates = [(path, WIDTH)]
    if width < WIDTH:
        candidates.insert(0, ("%s.p/%d" % (path, width), width))
    for candidate, count in candidates:
        try:
            with open(os.path.join(folder, candidate), "rb") as file:
                return candidate, file.read(), count
        except FileNotFoundError:
            continue
    raise Wrong("%s: missing" % candidates[0][0])


def tile_hashes(folder, level, n, width):
    path, data, count = read_tile(folder, level, n, width)
    if len(data) != 32 * count:
        raise Wrong("%s: %d bytes, expected %d hashes" % (path, len(data), count))
    return path, [data[at : at + 32] for at in range(0, 32 * width, 32)]


def bundle_entries(folder, n, width):
    path, data, count = read_tile(folder, "entries", n, width)
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            raise Wrong("%s: does not divide into entries" % path)
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != count:
        raise Wrong("%s: %d entries, expected %d" % (path, len(entries), count))
    return path, entries[:width]


def check_level(folder, level, hashes, begin):
    """The tiles of one level, from the hash `begin` on, against hashes computed from below; answers those of the next."""
    above = []
    for first in range(begin, len(hashes), WIDTH):
        computed = hashes[first : first + WIDTH]
        path, stored = tile_hashes(folder, level, first // WIDTH, len(computed))
        for at, (ours, theirs) in enumerate(zip(computed, stored)):
            if ours != theirs:
                start, span = (first + at) * WIDTH**level, WIDTH**level
                raise Wrong("%s: hash %d is not that of entries %d to %d" % (path, at, start, start + span - 1))
        if len(computed) == WIDTH:
            above.append(tree_hash(computed))
    return above


def verify(folder, vkey):
    with open(os.path.join(folder, "checkpoint"), "rb") as file:
        origin, size, root = parse_checkpoint(open_note(file.read(), vkey))
    if origin != vkey.split("+")[0]:
        raise Wrong("checkpoint: origin %s is not the key's name" % origin)
    minimum, says = read_pruned(folder)
    if says is not None and says >= size:
        raise Wrong("pruned: entry %d is not signed for" % says)
    # Of what was pruned, the hashes of 256 entries each are left.
    hashes, above_pruned = [b""] * minimum, []
    for first in range(0, minimum // WIDTH, WIDTH):
        _, stored = tile_hashes(folder, 1, first // WIDTH, min(WIDTH, size // WIDTH - first))
        above_pruned.extend(stored[: minimum // WIDTH - first])
    for first in range(minimum, size, WIDTH):
        _, entries = bundle_entries(folder, first // WIDTH, min(WIDTH, size - first))
        if says is not None and first <= says < first + WIDTH and not says_pruned(entries[says - first], minimum):
            raise Wrong("pruned: entry %d does not say that those before %d were" % (says, minimum))
        hashes.extend(map(leaf_hash, entries))
    level, right = 0, None
    while hashes:
        above = check_level(folder, level, hashes, minimum if level == 0 else 0)
        above = above_pruned + above if level == 0 else above
        # What no full tile takes up is the right edge: its trees are joined from the right.
        rest = hashes[len(above) * WIDTH :]
        while rest:
            low = len(rest) & -len(rest)
            peak = tree_hash(rest[-low:])
            right = peak if right is None else node_hash(peak, right)
            rest = rest[:-low]
        hashes, level = above, level + 1
    if (right if right is not None else sha256(b"")) != root:
        raise Wrong("the first %d entries do not have the signed root" % size)
    return origin, size, root, minimum


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        origin, size, root, minimum = verify(arguments[1], arguments[2])
    except (Wrong, OSError, ValueError) as error:
        print("NOT VERIFIED: %s" % error, file=sys.stderr)
        return 1
    gone = ", those before %d pruned" % minimum if minimum else ""
    print("verified: %s, %d entries%s, root %s" % (origin, size, gone, base64.b64encode(root).decode()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
