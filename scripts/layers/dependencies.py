"""Which crates a crate depends on."""

import re

from layers.law import ANYTHING

PREFIX = "countersign-"


def dependency_violations(metadata, layers):
    """Every breach of the layers in the output of `cargo metadata`."""
    packages = {package["id"]: package for package in metadata["packages"]}
    members = [packages[member] for member in metadata["workspace_members"]]
    found = []
    for package in sorted(members, key=lambda package: package["name"]):
        name = package["name"]
        layer = layers.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
        if layer is None:
            found.append(f"{name}: an unknown crate; give it a layer in scripts/check-layers")
            continue
        found += direct_violations(package, layer)
        found += reached_violations(package, layer, metadata, packages)
        found += unused_permissions(package, layer)
    return found


def direct_violations(package, layer):
    """Dependencies that the crate's own Cargo.toml names against its layer."""
    ours = {PREFIX + short for short in layer.ours.split()}
    others = set(layer.others.split())
    for dependency in package["dependencies"]:
        if dependency["kind"] == "dev":
            continue
        wanted = dependency["name"]
        if wanted in ours | others or (others == {ANYTHING} and not wanted.startswith(PREFIX)):
            continue
        yield f"{package['name']}: must not depend on {wanted}"


def unused_permissions(package, layer):
    """What the layer permits and the crate does not take: a door that stands open for nobody."""
    taken = {dependency["name"] for dependency in package["dependencies"] if dependency["kind"] != "dev"}
    ours = {PREFIX + short for short in layer.ours.split()}
    for permitted in sorted((ours | set(layer.others.split())) - {ANYTHING} - taken):
        yield f"{package['name']}: may depend on {permitted} and does not; take it out of scripts/check-layers"


def reached_violations(package, layer, metadata, packages):
    """Crates of `never` that arrive through other crates, each with the chain that brings it."""
    edges = {
        node["id"]: [
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
    }
    never = set(layer.never.split())
    chains = {package["id"]: [package["name"]]}
    waiting = [package["id"]]
    while waiting:
        here = waiting.pop()
        for there in edges.get(here, []):
            if there in chains:
                continue
            chains[there] = chains[here] + [packages[there]["name"]]
            waiting.append(there)
            if packages[there]["name"] in never and len(chains[there]) > 2:
                yield f"{package['name']}: must never reach {' -> '.join(chains[there][1:])}"


def manifest_violations(path, text):
    """A crate that does not take the workspace's lints is free of all of them."""
    if path.startswith(("crates/", "bindings/")) and path.endswith("/Cargo.toml"):
        if not re.search(r"^\[lints\]\nworkspace = true$", text, re.MULTILINE):
            yield f"{path}: must say [lints] workspace = true"
