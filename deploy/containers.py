#!/usr/bin/env python3
"""Holds every container of the compose files against what THREATS.md says of them: a read-only root, no new privileges, and no
capabilities but those that are named here, with the reason.

Usage: containers.py FOLDER
"""

import pathlib
import sys

import yaml

BASE = "docker-compose.yml"

# Root without capabilities cannot even become somebody else; whoever is missing here has none, and is nobody's root.
BECOMES_A_USER = {"SETGID", "SETUID"}
CAPABILITIES = {
    # Hands its folders over, listens at port 80, and has workers that are not root.
    "gateway": BECOMES_A_USER | {"CHOWN", "NET_BIND_SERVICE"},
    # Hand their data over, which is of another user already, and go on as that; `init`, which stays root, stops them.
    "postgres": BECOMES_A_USER | {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"},
    "rabbitmq": BECOMES_A_USER | {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"},
    "rabbitmq-2": BECOMES_A_USER | {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"},
    "rabbitmq-3": BECOMES_A_USER | {"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"},
    # The same with the folder of backups.
    "archive": BECOMES_A_USER | {"CHOWN", "FOWNER", "KILL"},
    "archive-role": BECOMES_A_USER | {"CHOWN", "FOWNER", "KILL"},
    "restore": BECOMES_A_USER | {"CHOWN", "FOWNER", "KILL"},
}
# And what a further file adds.
MORE = {
    # Reads a key that nobody but its owner on the host can read.
    ("docker-compose.tls.yml", "gateway"): {"DAC_OVERRIDE"},
}
NEVER = ["privileged", "devices", "pid", "ipc", "userns_mode", "cgroup_parent"]


def main(folder):
    folder = pathlib.Path(folder)
    files = {path.name: yaml.safe_load(path.read_text())["services"] for path in sorted(folder.glob("docker-compose*.yml"))}
    wrong = 0
    for file, services in files.items():
        problems = [
            f"{name}: {problem}"
            for name, service in services.items()
            for problem in problems_of(file, name, whole(files, file, name, service))
        ]
        for problem in problems:
            print(f"{file}: {problem}", file=sys.stderr)
        wrong += len(problems)
        print(f"{file}: {len(services)} containers, {len(problems)} problems")
    return 1 if wrong else 0


def whole(files, file, name, service):
    """As it is run: with what it extends, and with what the first file says of it. Lists add up."""
    extended = service.get("extends")
    beneath = [files[extended["file"]][extended["service"]]] if extended else []
    beneath += [files[BASE][name]] if file != BASE and name in files[BASE] else []
    merged = {}
    for part in [*beneath, service]:
        for key, value in part.items():
            merged[key] = merged.get(key, []) + value if isinstance(value, list) else value
    return merged


def problems_of(file, name, service):
    if service.get("read_only") is not True:
        yield "its root is not read-only"
    if "ALL" not in service.get("cap_drop", []):
        yield "it keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it can get new privileges"
    allowed = CAPABILITIES.get(name, set()) | MORE.get((file, name), set())
    for capability in sorted(set(service.get("cap_add", [])) - allowed):
        yield f"it has {capability} without a reason"
    if name not in CAPABILITIES and str(service.get("user", "")).split(":")[0] in ("0", "root"):
        yield "it is root"
    yield from (f"it has `{key}`" for key in NEVER if key in service)
    if service.get("network_mode") not in (None, "none"):
        yield "it shares a network that is not its own"
    yield from (f"it is given {volume}" for volume in service.get("volumes", []) if "docker.sock" in str(volume))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
