#!/usr/bin/env python3
"""Holds rendered manifests against the published schemas, and pods against the profile "restricted".

Usage: validate.py SCHEMAS MANIFESTS...

The schemas of Kubernetes itself come with the package kubernetes-validate; those of the operators are the files of SCHEMAS,
taken out of their custom resource definitions.
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.32"


def main(schemas, *manifests):
    wrong = 0
    for manifest in manifests:
        documents = list(yaml.safe_load_all(pathlib.Path(manifest).read_text()))
        problems = [problem for document in documents for problem in problems_of(document, pathlib.Path(schemas))]
        for problem in problems:
            print(f"{manifest}: {problem}", file=sys.stderr)
        wrong += len(problems)
        print(f"{manifest}: {len(documents)} objects, {len(problems)} problems")
    return 1 if wrong else 0


def problems_of(document, schemas):
    name = f"{document['kind']} {document['metadata']['name']}"
    schema = schemas / f"{document['kind'].lower()}.json"
    try:
        if schema.exists():
            jsonschema.validate(document, json.loads(schema.read_text()))
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as problem:
        yield f"{name}: {'.'.join(str(step) for step in problem.path)}: {problem.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{name}: there is no schema for it"
    template = document.get("spec", {}).get("template", {}).get("spec")
    if template and document["kind"] in ("Deployment", "StatefulSet"):
        yield from (f"{name}: {problem}" for problem in unrestricted(template))


def unrestricted(pod):
    """What https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted forbids, and more of our own."""
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or not context.get("runAsUser"):
        yield "runs as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "has a token for the API of Kubernetes"
    for container in pod.get("initContainers", []) + pod["containers"]:
        rights = container.get("securityContext", {})
        if rights.get("allowPrivilegeEscalation") is not False:
            yield f"{container['name']} may gain privileges"
        if rights.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']} has capabilities"
        if rights.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} may write to its image"
        if not {"cpu", "memory"} <= container.get("resources", {}).get("requests", {}).keys():
            yield f"{container['name']} does not say what it needs"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{container['name']} may take all memory"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
