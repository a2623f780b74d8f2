#!/usr/bin/env python3
"""Verifies an alert that a watcher sent: that it rests on entries of the journal that it names, signed for by its key.

Written from the C2SP specifications tlog-proof, tlog-checkpoint and signed-note, and RFC 9162. An entry of more than
8 KiB is not in the alert; its leaf hash is proven instead. It does not show that the rule was applied rightly, nor that
no other entry was left out.

usage: verify_alert.py ALERT VKEY      a file with its JSON, and the verifier key of the journal
exit:  0 all that it rests on was signed for; 1 it was not (standard error says what); 2 wrong usage
"""

import base64
import json
import sys

from verify_export import root_of
from verify_journal import Wrong, leaf_hash, open_note, parse_checkpoint


def proven(one, vkey):
    """The size of the tree in which this entry is."""
    if "missing" in one:
        raise Wrong("entry %d is not proven: %s" % (one["index"], one["missing"]))
    head, blank, note = one["proof"].partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[:2] != ["c2sp.org/tlog-proof@v1", "index %d" % one["index"]]:
        raise Wrong("entry %d: this is not its tlog-proof" % one["index"])
    leaf = bytes.fromhex(one["leaf"])
    if one.get("entry") is not None and leaf_hash(one["entry"].encode()) != leaf:
        raise Wrong("entry %d is not the one that was hashed" % one["index"])
    origin, size, root = parse_checkpoint(open_note(note.encode(), vkey))
    if origin != vkey.split("+")[0]:
        raise Wrong("origin %s is not the key's name" % origin)
    path = [base64.b64decode(line, validate=True) for line in lines[2:]]
    if root_of(leaf, one["index"], size, path) != root:
        raise Wrong("entry %d is not the one that was signed for" % one["index"])
    return size


def histories(notes, vkey):
    """What two notes of one key say together."""
    heads = [parse_checkpoint(open_note(note.encode(), vkey)) for note in notes]
    said = ", then ".join("%d entries with root %s" % (size, root.hex()[:16]) for _, size, root in heads)
    print("signed: %s" % said)


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[1], encoding="utf-8") as file:
            alert = json.load(file)
        vkey = arguments[2]
        if alert["journal"] != vkey.split("+")[0]:
            raise Wrong("the alert is about %s, the key is another's" % alert["journal"])
        entries, notes = alert.get("entries", []), alert.get("notes", [])
        for one in entries:
            proven(one, vkey)
        if notes:
            histories(notes, vkey)
        if not entries and not notes:
            raise Wrong("it rests on nothing that is signed")
    except (Wrong, OSError, ValueError, KeyError) as error:
        print("NOT VERIFIED: %s" % error, file=sys.stderr)
        return 1
    print("verified: %s rests on %d entries and %d notes of %s" % (alert["rule"], len(entries), len(notes), alert["journal"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
