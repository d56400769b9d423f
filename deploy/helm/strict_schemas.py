#!/usr/bin/env python3
"""Makes strict JSON schemas for kubeconform, one file for each kind of object: a field that the API does not have is refused.

    strict_schemas.py kubernetes OUT_DIR < api/openapi-spec/swagger.json     of the module k8s.io/kubernetes
    strict_schemas.py crds OUT_DIR < CUSTOM_RESOURCE_DEFINITIONS             one JSON object on each line

Files are named KIND-GROUP-VERSION.json, in lower case and with the first word of the group alone, as kubeconform's
{{.ResourceKind}}{{.KindSuffix}}.json has it.
"""

import json
import pathlib
import sys

INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
NUMBER_OR_STRING = {"anyOf": [{"type": "number"}, {"type": "string"}]}
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
DEFINITIONS = "#/definitions/"


def strict(node):
    """The schema `node` with no other fields than it names."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string") or node.get("format") == "int-or-string":
        return INT_OR_STRING
    # Not its annotations; and what it names `properties` is no schema itself.
    made = {key: strict(value) for key, value in node.items() if key not in ("description", "default", "properties") and not key.startswith("x-")}
    if "properties" in node:
        made["properties"] = {name: strict(value) for name, value in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made


def references(node):
    """The names of all definitions that `node` refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(DEFINITIONS)
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def closure(name, definitions):
    """The definition `name`, and all that it refers to."""
    found, waiting = {}, [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting.extend(references(definitions[name]))
    return found


def write(out, kind, group, version, schema):
    group = group.split(".")[0]
    name = "-".join(part for part in (kind, group, version) if part).lower()
    (out / f"{name}.json").write_text(json.dumps(schema))


def of_kubernetes(text, out):
    specified = json.loads(text)["definitions"]
    definitions = {name: strict(definition) for name, definition in specified.items()}
    definitions[QUANTITY] = NUMBER_OR_STRING
    for name, definition in specified.items():
        for is_kind in definition.get("x-kubernetes-group-version-kind", []):
            schema = {"$ref": DEFINITIONS + name, "definitions": closure(name, definitions)}
            write(out, is_kind["kind"], is_kind["group"], is_kind["version"], schema)


def of_crds(text, out):
    for crd in map(json.loads, text.splitlines()):
        spec = crd["spec"]
        for version in spec["versions"]:
            write(out, spec["names"]["kind"], spec["group"], version["name"], strict(version["schema"]["openAPIV3Schema"]))


if __name__ == "__main__":
    _, source, directory = sys.argv
    out = pathlib.Path(directory)
    out.mkdir(parents=True, exist_ok=True)
    {"kubernetes": of_kubernetes, "crds": of_crds}[source](sys.stdin.read(), out)
