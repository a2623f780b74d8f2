#!/usr/bin/env python3
"""Verifies a folder that `drieslot journal export` wrote: each entry against its C2SP tlog-proof.

Written from the C2SP specifications tlog-proof, tlog-checkpoint and signed-note, and RFC 9162. It
does not show that no other entry was left out.

usage: verify_export.py FOLDER VKEY
exit:  0 every entry was signed for; 1 one was not (standard error says which); 2 wrong usage
"""

import base64
import json
import os
import sys

from verify_journal import Wrong, leaf_hash, node_hash, open_note, parse_checkpoint


def root_of(leaf, index, size, path):
    """RFC 9162, 2.1.3.2: the root that the path leads to."""
    if index >= size:
        raise Wrong("index %d is not in a tree of %d" % (index, size))
    fn, sn, hash_ = index, size - 1, leaf
    for step in path:
        if sn == 0:
            raise Wrong("the path is too long")
        if fn & 1 or fn == sn:
            hash_ = node_hash(step, hash_)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            hash_ = node_hash(hash_, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise Wrong("the path is too short")
    return hash_


def check(entry, proof, vkey):
    """The index at which the log that the key signs has the entry."""
    head, blank, note = proof.partition(b"\n\n")
    lines = head.decode().split("\n")
    if not blank or lines[0] != "c2sp.org/tlog-proof@v1":
        raise Wrong("this is no tlog-proof")
    lines = [line for line in lines[1:] if not line.startswith("extra ")]
    if not lines or not lines[0].startswith("index "):
        raise Wrong("the proof has no index")
    index = int(lines[0][6:])
    path = [base64.b64decode(line, validate=True) for line in lines[1:]]
    if any(len(hash_) != 32 for hash_ in path):
        raise Wrong("a hash of the proof has not 32 bytes")
    origin, size, root = parse_checkpoint(open_note(note, vkey))
    if origin != vkey.split("+")[0]:
        raise Wrong("origin %s is not the key's name" % origin)
    if root_of(leaf_hash(entry), index, size, path) != root:
        raise Wrong("the entry is not the one that was signed for")
    return index


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    folder = os.path.join(arguments[1], "entries")
    seen = {}
    try:
        for name in sorted(name for name in os.listdir(folder) if name.endswith(".json")):
            path = os.path.join(folder, name)
            try:
                entry = read(path)
                index = check(entry, read(path + ".tlog-proof"), arguments[2])
                if index != int(name[:-5]):
                    raise Wrong("it is entry %d" % index)
                seen[index] = json.loads(entry)["kind"]
            except (Wrong, OSError, ValueError, KeyError) as error:
                raise Wrong("%s: %s" % (name, error)) from None
        if not seen:
            raise Wrong("there are no entries in %s" % folder)
    except (Wrong, OSError) as error:
        print("NOT VERIFIED: %s" % error, file=sys.stderr)
        return 1
    print("verified: %d entries of %s" % (len(seen), arguments[2].split("+")[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
