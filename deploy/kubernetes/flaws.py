"""Manifests with a flaw each, for validate.py: it has to find every one, and nothing where there is none."""

import copy

CONTAINER = {
    "image": "image",
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
}
POD = {
    "automountServiceAccountToken": False,
    "restartPolicy": "Always",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
    "initContainers": [copy.deepcopy({**CONTAINER, "name": "first"})],
    "containers": [copy.deepcopy({**CONTAINER, "name": "main"})],
}
# What makes pods, and what it needs besides.
SELECTOR = {"selector": {"matchLabels": {"is": "flawed"}}}
KINDS = {
    "CronJob": ("batch/v1", {}),
    "DaemonSet": ("apps/v1", SELECTOR),
    "Deployment": ("apps/v1", SELECTOR),
    "Job": ("batch/v1", {}),
    "Pod": ("v1", {}),
    "ReplicaSet": ("apps/v1", SELECTOR),
    "StatefulSet": ("apps/v1", {"serviceName": "flawed", **SELECTOR}),
}

# By the rule that forbids it. More than one stands for each condition of a rule.
OF_PODS = [
    ("runs as root", lambda pod: pod["securityContext"].pop("runAsNonRoot")),
    ("runs as root", lambda pod: pod["securityContext"].update(runAsUser=0)),
    ("has no seccomp profile", lambda pod: pod["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ("has no seccomp profile", lambda pod: pod["securityContext"].pop("seccompProfile")),
    ("has a token for the API of Kubernetes", lambda pod: pod.pop("automountServiceAccountToken")),
    ("shares what is its node's", lambda pod: pod.update(hostNetwork=True)),
    ("has a volume that it may not", lambda pod: pod.update(volumes=[{"name": "node", "hostPath": {"path": "/"}}])),
    ("has a sysctl that it may not", lambda pod: pod["securityContext"].update(sysctls=[{"name": "a.b", "value": "1"}])),
]
OF_CONTAINERS = [
    ("is somebody else than its pod", lambda it: it["securityContext"].update(runAsUser=0)),
    ("may gain privileges", lambda it: it["securityContext"].pop("allowPrivilegeEscalation")),
    ("has all privileges", lambda it: it["securityContext"].update(privileged=True)),
    ("has capabilities", lambda it: it["securityContext"].pop("capabilities")),
    ("has capabilities", lambda it: it["securityContext"]["capabilities"].update(add=["NET_ADMIN"])),
    ("may write to its image", lambda it: it["securityContext"].pop("readOnlyRootFilesystem")),
    ("sees all of the kernel", lambda it: it["securityContext"].update(procMount="Unmasked")),
    ("takes a port of its node", lambda it: it.update(ports=[{"containerPort": 1, "hostPort": 1}])),
    ("does not say what it needs", lambda it: it["resources"]["requests"].pop("cpu")),
    ("does not say what it needs", lambda it: it["resources"]["requests"].pop("memory")),
    ("may take all memory", lambda it: it["resources"].pop("limits")),
]
# What no schema knows.
UNKNOWN = [
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "flawed"}, "spec": {**POD, "replicas": 1}},
    {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "flawed"}, "spec": {"replicas": 1}},
    {"apiVersion": "example.com/v1", "kind": "Nothing", "metadata": {"name": "flawed"}},
]


def overlooked(problems_of, rules):
    for kind in KINDS:
        yield from (f"a good {kind} is refused: {problem}" for problem in problems_of(manifest(kind, POD)))
        # How it is made says nothing about what is looked at in a pod, so one flaw is enough for all but one kind.
        for expected, pod in flawed_pods()[: None if kind == "Pod" else 1]:
            found = list(problems_of(manifest(kind, pod)))
            if found != [f"{kind} flawed: {expected}"]:
                yield f"a {kind} should be refused for {expected!r}, not for {found}"
    for document in UNKNOWN:
        if len(list(problems_of(document))) != 1:
            yield f"what no schema knows is not found in a {document['kind']}"
    tried = {rule for rule, _ in OF_PODS + OF_CONTAINERS}
    yield from (f"no flaw stands for the rule {rule!r}" for rule in rules if rule not in tried)


def flawed_pods():
    flawed = []
    for rule, spoil in OF_PODS:
        pod = copy.deepcopy(POD)
        spoil(pod)
        flawed.append((rule, pod))
    for containers in "initContainers", "containers":
        for rule, spoil in OF_CONTAINERS:
            pod = copy.deepcopy(POD)
            spoil(pod[containers][0])
            flawed.append((f"{pod[containers][0]['name']} {rule}", pod))
    return flawed


def manifest(kind, pod):
    version, besides = KINDS[kind]
    if version == "batch/v1":
        pod = {**pod, "restartPolicy": "Never"}
    spec = {"template": {"metadata": {"labels": {"is": "flawed"}}, "spec": pod}, **besides}
    if kind == "Pod":
        spec = pod
    elif kind == "CronJob":
        spec = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "flawed"}, "spec": spec}
