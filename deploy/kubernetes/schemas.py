#!/usr/bin/env python3
"""Takes the schemas of custom resources out of their definitions, for validate.py.

Usage: schemas.py FOLDER DEFINITIONS.yaml...

What Kubernetes adds to JSON Schema is translated or left out, and fields that nobody has defined are refused.
"""

import json
import pathlib
import sys

import yaml

NESTED = ("items", "additionalProperties", "not")
ALTERNATIVES = ("allOf", "anyOf", "oneOf")


def main(folder, *definitions):
    for definition in definitions:
        spec = yaml.safe_load(pathlib.Path(definition).read_text())["spec"]
        stored = next(version for version in spec["versions"] if version["storage"])
        schema = strict(stored["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        del schema["properties"]["status"]
        path = pathlib.Path(folder, spec["names"]["kind"].lower() + ".json")
        path.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")


def strict(schema):
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.pop("nullable", False):
        schema["type"] = [schema["type"], "null"]
    keeps_unknown = schema.pop("x-kubernetes-preserve-unknown-fields", False)
    for name in [name for name in schema if name.startswith("x-kubernetes-") or name in ("description", "format")]:
        del schema[name]
    if "properties" in schema:
        for child in schema["properties"].values():
            strict(child)
        if not keeps_unknown:
            schema.setdefault("additionalProperties", False)
    for child in [schema[name] for name in NESTED if isinstance(schema.get(name), dict)]:
        strict(child)
    for alternative in [part for name in ALTERNATIVES for part in schema.get(name, []) if "type" in part]:
        strict(alternative)
    return schema


if __name__ == "__main__":
    main(*sys.argv[1:])
