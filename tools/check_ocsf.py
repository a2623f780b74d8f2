#!/usr/bin/env python3
"""Checks events against the published Open Cybersecurity Schema Framework, as the package ocsf-json-schema has it.

usage: check_ocsf.py < EVENTS     one event a line, each by the version that it names
exit:  0 all are as the schema says; 1 one is not (standard error says which and why)
Prints how many there were of each class. Needs the Python packages ocsf-json-schema and jsonschema.
"""

import collections
import json
import sys

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema


class Schemas:
    def __init__(self):
        self.versions, self.validators = {}, {}

    def of(self, version, uid):
        """The class is closed: a member that it does not have is a fault."""
        if version not in self.versions:
            self.versions[version] = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
        if (version, uid) not in self.validators:
            schemas = self.versions[version]
            schema = schemas.get_class_schema(schemas.lookup_class_name_from_uid(uid))
            self.validators[version, uid] = jsonschema.validators.validator_for(schema)(schema)
        return self.validators[version, uid]


def main():
    schemas, classes, faults = Schemas(), collections.Counter(), 0
    for number, line in enumerate(sys.stdin.buffer):
        try:
            event = json.loads(line)
            validator = schemas.of(event["metadata"]["version"], event["class_uid"])
            errors = [error.message for error in validator.iter_errors(event)]
            if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
                errors.append("type_uid is not that of class and activity")
        except (ValueError, KeyError) as error:
            errors = [repr(error)]
        if errors:
            faults += 1
            if faults <= 5:
                print("event %d: %s\n  %s" % (number, "; ".join(errors), line.decode(errors="replace").strip()), file=sys.stderr)
        else:
            classes[event["class_uid"]] += 1
    print(" ".join("%d=%d" % one for one in sorted(classes.items())))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
