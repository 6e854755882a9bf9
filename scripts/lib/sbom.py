"""What a binary of ours is made of, as CycloneDX 1.5 in JSON on the standard output.

    cargo metadata --locked --format-version 1 --filter-platform TARGET | sbom.py PACKAGE NAME CHECKSUMS TIMESTAMP

PACKAGE is the crate, NAME the binary, CHECKSUMS the Cargo.lock, TIMESTAMP seconds since 1970. The same input gives the same
bytes. Crates that run while it is built (build scripts, macros) are listed too, as `excluded` from what runs. Features are those
of the whole workspace, so that a crate may be listed that this binary leaves out, and none is missing.
"""

import datetime
import json
import sys
import tomllib
import uuid


def reached(root, nodes, packages):
    """Ids of what ends up in the binary, and of all that it takes to build it."""
    ships, all_of_it = set(), set()
    waiting = [(root, True)]
    while waiting:
        one, runs = waiting.pop()
        runs = runs and not any("proc-macro" in target["kind"] for target in packages[one]["targets"])
        if one in ships or (one in all_of_it and not runs):
            continue
        all_of_it.add(one)
        if runs:
            ships.add(one)
        for dependency in nodes[one]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            if kinds != {"dev"}:
                waiting.append((dependency["pkg"], runs and None in kinds))
    return ships, all_of_it


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, kind, checksums):
    told = {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"]}
    if package["description"]:
        told["description"] = " ".join(package["description"].split())
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        told["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["license"]:
        # Old manifests write a slash where SPDX says OR.
        told["licenses"] = [{"expression": package["license"].replace(" / ", "/").replace("/", " OR ")}]
    told["purl"] = purl(package)
    if package["repository"]:
        told["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return told


def main():
    crate, name, lock, seconds = sys.argv[1:]
    metadata = json.load(sys.stdin)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    members = set(metadata["workspace_members"])
    root = next(one for one in members if packages[one]["name"] == crate)
    with open(lock, "rb") as file:
        locked = tomllib.load(file)["package"]
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in locked}

    ships, all_of_it = reached(root, nodes, packages)
    order = sorted(all_of_it, key=lambda one: purl(packages[one]))
    components = []
    for one in order:
        if one != root:
            told = component(packages[one], "library", checksums)
            told["scope"] = "required" if one in ships else "excluded"
            components.append(told)
    dependencies = []
    for one in order:
        of = {dep["pkg"] for dep in nodes[one]["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])}
        dependencies.append({"ref": purl(packages[one]), "dependsOn": sorted(purl(packages[dep]) for dep in of)})

    itself = component(packages[root], "application", checksums) | {"name": name}
    when = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": itself},
        "components": components,
        "dependencies": dependencies,
    }
    # Another content is another document; the same is the same one.
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True))}"
    json.dump(bom, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
