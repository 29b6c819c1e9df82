#!/usr/bin/env python3
"""Holds rendered manifests against the published schemas, and pods against the profile "restricted".

Usage: validate.py SCHEMAS MANIFESTS...

The schemas of Kubernetes itself come with the package kubernetes-validate; those of the operators are the files of SCHEMAS,
taken out of their custom resource definitions. First it makes sure that it finds what it should, in manifests of its own:
flaws.py.
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

# Otherwise a folder would come into being beside flaws.py.
sys.dont_write_bytecode = True
import flaws

KUBERNETES = "1.32"

# What makes pods, and where it says how.
POD_TEMPLATES = {
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "Deployment": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "Pod": ("spec",),
    "ReplicaSet": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
}

# What https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted forbids, and more of our own.
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {"net.ipv4.ip_local_port_range"}
FORBIDDEN_TO_PODS = {
    "runs as root": lambda pod: context(pod).get("runAsNonRoot") is not True or not context(pod).get("runAsUser"),
    "has no seccomp profile": lambda pod: context(pod).get("seccompProfile", {}).get("type") != "RuntimeDefault",
    "has a token for the API of Kubernetes": lambda pod: pod.get("automountServiceAccountToken") is not False,
    "shares what is its node's": lambda pod: {"hostIPC", "hostNetwork", "hostPID"} & pod.keys(),
    "has a volume that it may not": lambda pod: any(volume.keys() - {"name"} - VOLUMES for volume in pod.get("volumes", [])),
    "has a sysctl that it may not": lambda pod: {sysctl["name"] for sysctl in context(pod).get("sysctls", [])} - SYSCTLS,
}
FORBIDDEN_TO_CONTAINERS = {
    "is somebody else than its pod": lambda it: {"runAsNonRoot", "runAsUser", "seccompProfile"} & context(it).keys(),
    "may gain privileges": lambda it: context(it).get("allowPrivilegeEscalation") is not False,
    "has all privileges": lambda it: context(it).get("privileged"),
    "has capabilities": lambda it: context(it).get("capabilities") != {"drop": ["ALL"]},
    "may write to its image": lambda it: context(it).get("readOnlyRootFilesystem") is not True,
    "sees all of the kernel": lambda it: "procMount" in context(it),
    "takes a port of its node": lambda it: any("hostPort" in port for port in it.get("ports", [])),
    "does not say what it needs": lambda it: not {"cpu", "memory"} <= it.get("resources", {}).get("requests", {}).keys(),
    "may take all memory": lambda it: "memory" not in it.get("resources", {}).get("limits", {}),
}


def main(schemas, *manifests):
    schemas = pathlib.Path(schemas)
    rules = [*FORBIDDEN_TO_PODS, *FORBIDDEN_TO_CONTAINERS]
    wrong = list(flaws.overlooked(lambda document: problems_of(document, schemas), rules))
    for problem in wrong:
        print(f"validate.py: {problem}", file=sys.stderr)
    for manifest in manifests:
        documents = list(yaml.safe_load_all(pathlib.Path(manifest).read_text()))
        problems = [problem for document in documents for problem in problems_of(document, schemas)]
        for problem in problems:
            print(f"{manifest}: {problem}", file=sys.stderr)
        wrong += problems
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
    if document["kind"] in POD_TEMPLATES:
        pod = document
        for step in POD_TEMPLATES[document["kind"]]:
            pod = pod[step]
        yield from (f"{name}: {problem}" for problem in unrestricted(pod))


def unrestricted(pod):
    yield from (problem for problem, is_so in FORBIDDEN_TO_PODS.items() if is_so(pod))
    for container in pod.get("initContainers", []) + pod["containers"]:
        for problem in (problem for problem, is_so in FORBIDDEN_TO_CONTAINERS.items() if is_so(container)):
            yield f"{container['name']} {problem}"


def context(pod_or_container):
    return pod_or_container.get("securityContext", {})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
