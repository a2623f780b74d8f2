#!/usr/bin/env python3
"""Checks entries of journals against docs/journal.schema.json.

usage: check_entries.py SCHEMA < ENTRIES     one entry a line
exit:  0 all are as the schema says; 1 one is not (standard error says which and why); 2 wrong usage
Needs the Python package jsonschema.
"""

import collections
import json
import sys

import jsonschema


def no_duplicates(pairs):
    """JSON leaves open what a member means that stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    kinds, faults = collections.Counter(), 0
    for number, line in enumerate(sys.stdin.buffer):
        try:
            entry = json.loads(line, object_pairs_hook=no_duplicates)
            error = jsonschema.exceptions.best_match(validator.iter_errors(entry))
        except ValueError as refused:
            error = refused
        if error:
            faults += 1
            if faults <= 10:
                print("entry %d: %s\n  %s" % (number, getattr(error, "message", error), line.decode(errors="replace").strip()),
                      file=sys.stderr)
        else:
            kinds[entry["kind"]] += 1
    print(" ".join("%s=%d" % kind for kind in sorted(kinds.items())))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
