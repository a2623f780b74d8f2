#!/usr/bin/env python3
"""Verifies a Drieslot journal or a mirror of it, in a folder or as it is served, without Drieslot.

Written from the C2SP specifications signed-note, tlog-checkpoint, tlog-tiles and tlog-cosignature,
and RFC 6962. It reads `checkpoint` and `tile/` only, as any transparency-log client would: entries
after the checkpoint are not signed yet, and are not looked at; of entries that were pruned it reads
the hashes that are left. With witnesses it also reads
`checkpoint.cosigned`: a quorum of them must have cosigned that checkpoint, and the journal must be
its continuation. With --since so must it be of an earlier checkpoint, kept from a look before.

usage: verify_journal.py FOLDER|URL VKEY [--witness VKEY ... --quorum COUNT] [--cosigned-within SECONDS]
                         [--since FILE]
exit:  0 all is as signed; 1 it is not (standard error says what and where); 2 wrong usage
"""

import argparse
import base64
import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


class Wrong(Exception):
    """What is wrong, and where."""


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


def parse_vkey(vkey, kind):
    """signed-note: name+hash+base64(type || key); type 1 signs, type 4 cosigns."""
    try:
        name, key_id, encoded = vkey.split("+", 2)
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Wrong("verifier key: expected name+hex+base64") from None
    if len(key) != 33 or key[0] != kind:
        raise Wrong("verifier key: not an Ed25519 key of type %d" % kind)
    expected = sha256(name.encode() + b"\n" + key)[:4]
    if expected.hex() != key_id:
        raise Wrong("verifier key: the key id is not that of name and key")
    return name, expected, Ed25519PublicKey.from_public_bytes(key[1:])


def split_note(note):
    """signed-note: the text, and of each signature the name, the key id and the rest."""
    if any(byte < 0x20 and byte != 0x0A for byte in note):
        raise Wrong("checkpoint: control characters")
    text, blank, signatures = note.decode().rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise Wrong("checkpoint: no blank line before the signatures, or no newline at the end")
    found = []
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014":
            raise Wrong("checkpoint: malformed signature line")
        signature = base64.b64decode(parts[2], validate=True)
        found.append((parts[1], signature[:4], signature[4:]))
    return text + "\n", found


def open_note(note, vkey):
    """signed-note: the text, if the key signed it."""
    name, key_id, key = parse_vkey(vkey, 1)
    text, signatures = split_note(note)
    signed = False
    for signer, signer_id, signature in signatures:
        if (signer, signer_id) == (name, key_id):
            try:
                key.verify(signature, text.encode())
            except InvalidSignature:
                raise Wrong("checkpoint: the signature of %s is wrong" % name) from None
            signed = True
    if not signed:
        raise Wrong("checkpoint: not signed by %s" % vkey)
    return text


def cosigned_at(note, vkey):
    """tlog-cosignature: when the witness cosigned it, in seconds of the epoch; None if it did not."""
    name, key_id, key = parse_vkey(vkey, 4)
    text, signatures = split_note(note)
    latest = None
    for signer, signer_id, signature in signatures:
        if (signer, signer_id) == (name, key_id):
            seconds = int.from_bytes(signature[:8], "big")
            try:
                key.verify(signature[8:], ("cosignature/v1\ntime %d\n%s" % (seconds, text)).encode())
            except InvalidSignature:
                raise Wrong("checkpoint.cosigned: the cosignature of %s is wrong" % name) from None
            latest = seconds if latest is None else max(latest, seconds)
    return latest


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


def read_file(journal, path):
    """A file of the folder or of who serves it; None where there is none."""
    if not journal.startswith("http://"):
        try:
            with open(os.path.join(journal, path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
    try:
        with urllib.request.urlopen("%s/%s" % (journal.rstrip("/"), path), timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def read_pruned(journal):
    """The minimum index, and the entry that says so; (0, None) where nothing was pruned."""
    text = read_file(journal, "pruned")
    if text is None:
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


def read_tile(journal, level, n, width):
    """The partial tile, or the full one that replaced it: (path, bytes, how many it holds)."""
    path = "tile/%s/%s" % (level, index_path(n))
    candidates = [(path, WIDTH)]
    if width < WIDTH:
        candidates.insert(0, ("%s.p/%d" % (path, width), width))
    for candidate, count in candidates:
        data = read_file(journal, candidate)
        if data is not None:
            return candidate, data, count
    raise Wrong("%s: missing" % candidates[0][0])


def tile_hashes(journal, level, n, width):
    path, data, count = read_tile(journal, level, n, width)
    if len(data) != 32 * count:
        raise Wrong("%s: %d bytes, expected %d hashes" % (path, len(data), count))
    return path, [data[at : at + 32] for at in range(0, 32 * width, 32)]


def bundle_entries(journal, n, width):
    path, data, count = read_tile(journal, "entries", n, width)
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


def check_level(journal, level, hashes, begin):
    """The tiles of one level, from the hash `begin` on, against hashes computed from below; answers those of the next."""
    above = []
    for first in range(begin, len(hashes), WIDTH):
        computed = hashes[first : first + WIDTH]
        path, stored = tile_hashes(journal, level, first // WIDTH, len(computed))
        for at, (ours, theirs) in enumerate(zip(computed, stored)):
            if ours != theirs:
                start, span = (first + at) * WIDTH**level, WIDTH**level
                raise Wrong("%s: hash %d is not that of entries %d to %d" % (path, at, start, start + span - 1))
        if len(computed) == WIDTH:
            above.append(tree_hash(computed))
    return above


def read_checkpoint(data, vkey):
    """Origin, size and root of a note that the journal's key signed."""
    origin, size, root = parse_checkpoint(open_note(data, vkey))
    if origin != vkey.split("+")[0]:
        raise Wrong("checkpoint: origin %s is not the key's name" % origin)
    return origin, size, root


def read_cosigned(journal, vkey, witnesses, quorum):
    """Size and root that a quorum cosigned, when, and who did."""
    note = read_file(journal, "checkpoint.cosigned")
    if note is None:
        raise Wrong("checkpoint.cosigned: missing")
    _, size, root = read_checkpoint(note, vkey)
    times = [(cosigned_at(note, witness), witness.split("+")[0]) for witness in witnesses]
    times = sorted((pair for pair in times if pair[0] is not None), reverse=True)
    if len(times) < quorum:
        raise Wrong("checkpoint.cosigned: cosigned by %d witnesses, and %d must" % (len(times), quorum))
    return size, root, times[quorum - 1][0], [name for _, name in times]


def leaf_hashes(journal, size, minimum, says):
    """Those before `minimum` were pruned, and are empty here; the entry `says` must say so."""
    hashes = [b""] * minimum
    for first in range(minimum, size, WIDTH):
        _, entries = bundle_entries(journal, first // WIDTH, min(WIDTH, size - first))
        if says is not None and first <= says < first + WIDTH and not says_pruned(entries[says - first], minimum):
            raise Wrong("pruned: entry %d does not say that those before %d were" % (says, minimum))
        hashes.extend(map(leaf_hash, entries))
    return hashes


def check_tiles(journal, leaves, minimum):
    """All tiles over these leaves; answers the hashes of 256 leaves each."""
    # Of what was pruned, these are left.
    blocks, size = [], len(leaves)
    for first in range(0, minimum // WIDTH, WIDTH):
        _, stored = tile_hashes(journal, 1, first // WIDTH, min(WIDTH, size // WIDTH - first))
        blocks.extend(stored[: minimum // WIDTH - first])
    blocks += check_level(journal, 0, leaves, minimum)
    level, hashes = 1, blocks
    while hashes:
        hashes, level = check_level(journal, level, hashes, 0), level + 1
    return blocks


def root_of(leaves, blocks, size):
    """RFC 6962, 2.1: the root of the first `size` leaves; `blocks` are the hashes of 256 of them each."""
    whole, right = size // WIDTH, None
    # Trees of powers of two, joined from the right.
    for hashes in (leaves[whole * WIDTH : size], blocks[:whole]):
        while hashes:
            low = len(hashes) & -len(hashes)
            peak = tree_hash(hashes[-low:])
            right = peak if right is None else node_hash(peak, right)
            hashes = hashes[:-low]
    return right if right is not None else sha256(b"")


def verify(journal, vkey, known):
    """`known`: sizes and roots that the journal must hold too, and what vouches for each."""
    data = read_file(journal, "checkpoint")
    if data is None:
        raise Wrong("checkpoint: missing")
    origin, size, root = read_checkpoint(data, vkey)
    minimum, says = read_pruned(journal)
    if says is not None and says >= size:
        raise Wrong("pruned: entry %d is not signed for" % says)
    for known_size, _, what in known:
        if known_size > size:
            raise Wrong("checkpoint: it names %d entries, and %s %d: rolled back" % (size, what, known_size))
        if known_size < minimum and known_size % WIDTH:
            raise Wrong("pruned: %s is of %d entries, and those before %d are gone" % (what, known_size, minimum))
    leaves = leaf_hashes(journal, size, minimum, says)
    blocks = check_tiles(journal, leaves, minimum)
    if root_of(leaves, blocks, size) != root:
        raise Wrong("the first %d entries do not have the signed root" % size)
    for known_size, known_root, what in known:
        if root_of(leaves, blocks, known_size) != known_root:
            raise Wrong("the first %d entries are not those of %s: a second history" % (known_size, what))
    return origin, size, root, minimum


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(usage=__doc__.partition("usage: ")[2])
    parser.add_argument("journal")
    parser.add_argument("vkey")
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--quorum", type=int)
    parser.add_argument("--cosigned-within", type=int)
    parser.add_argument("--since")
    found = parser.parse_args(arguments)
    count = len(found.witness)
    if (found.quorum is None) != (count == 0) or (found.cosigned_within is not None and not count):
        parser.error("--witness and --quorum are given together, and --cosigned-within with them")
    if len({key for witness in found.witness for key in (witness.split("+")[0], witness[-44:])}) != 2 * count:
        parser.error("a witness is named twice")
    if count and not count < 2 * found.quorum <= 2 * count:
        parser.error("the quorum must be more than half of the witnesses, and no more than there are")
    return found


def main(arguments):
    asked = parse_arguments(arguments[1:])
    known, said = [], ""
    try:
        if asked.witness:
            # Before the checkpoint, which is then of at least as many entries.
            size, root, at, names = read_cosigned(asked.journal, asked.vkey, asked.witness, asked.quorum)
            age = max(0, int(time.time()) - at)
            said = "; %d cosigned by %s, %d s ago" % (size, " ".join(names), age)
            if asked.cosigned_within is not None and age > asked.cosigned_within:
                raise Wrong("checkpoint.cosigned: cosigned %d s ago, more than %d" % (age, asked.cosigned_within))
            known.append((size, root, "what witnesses cosigned"))
        if asked.since:
            with open(asked.since, "rb") as file:
                known.append((*read_checkpoint(file.read(), asked.vkey)[1:], "the checkpoint seen before"))
        origin, size, root, minimum = verify(asked.journal, asked.vkey, known)
    except (Wrong, OSError, ValueError) as error:
        print("NOT VERIFIED: %s" % error, file=sys.stderr)
        return 1
    gone = ", those before %d pruned" % minimum if minimum else ""
    print("verified: %s, %d entries%s, root %s%s" % (origin, size, gone, base64.b64encode(root).decode(), said))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
