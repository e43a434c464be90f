#!/usr/bin/env python3
"""Prints what an image holds, as CycloneDX 1.5: crates by Cargo's word, files from Debian by dpkg's.

sbom.py --programs NAME... --files PATH...
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
CARGO = os.environ.get("CARGO", "cargo")


def output(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def crates(programs):
    """Every crate that one of the programs is built from; not what only build scripts and tests use."""
    host = next(line.split()[1] for line in output("rustc", "-vV").splitlines() if line.startswith("host:"))
    told = output(CARGO, "metadata", "--format-version", "1", "--locked", "--filter-platform", host)
    told = json.loads(told)
    packages = {package["id"]: package for package in told["packages"]}
    uses = {
        node["id"]: [
            used["pkg"] for used in node["deps"] if any(kind["kind"] is None for kind in used["dep_kinds"])
        ]
        for node in told["resolve"]["nodes"]
    }
    targets = {
        target["name"]: package["id"]
        for package in packages.values()
        for target in package["targets"]
        if "bin" in target["kind"] and package["source"] is None
    }
    roots = [targets[name] for name in programs]
    found, open_ends = {}, list(roots)
    while open_ends:
        crate = open_ends.pop()
        if crate not in found:
            found[crate] = packages[crate]
            open_ends.extend(uses[crate])
    return roots, found, uses


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def of_crate(package):
    described = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package["license"]:
        # Before SPDX had its own word for it, a slash was what stood between two to choose from.
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return described


def debian(files):
    """The packages that these files are from, with their versions; a file of no package by its own name."""
    release = dict(
        line.rstrip().split("=", 1) for line in open("/etc/os-release", encoding="utf-8") if "=" in line
    )
    system = release.get("ID", "linux").strip('"')
    found = {}
    for file in files:
        owner = None
        # The database may know it by its place before /usr and / were one.
        for place in (file, os.path.realpath(file), "/usr" + file, file.removeprefix("/usr")):
            asked = subprocess.run(
                ["dpkg-query", "--search", place], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            if asked.returncode == 0:
                owner = asked.stdout.split(": ")[0].split(",")[0]
                break
        if owner is None and file.startswith("/etc/ssl/certs/"):
            # Made at its installation, and so no file of the package's.
            owner = "ca-certificates"
        if owner is None:
            found[file] = {"type": "file", "bom-ref": file, "name": file}
            continue
        facts = output("dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}", owner)
        name, version, architecture = facts.split()
        reference = f"pkg:deb/{system}/{name}@{urllib.parse.quote(version)}?arch={architecture}"
        entry = found.setdefault(
            reference,
            {
                "type": "library",
                "bom-ref": reference,
                "name": name,
                "version": version,
                "purl": reference,
                "properties": [],
            },
        )
        entry["properties"].append({"name": "payload-manager:file", "value": file})
    return list(found.values())


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--programs", nargs="+", required=True)
    arguments.add_argument("--files", nargs="*", default=[])
    given = arguments.parse_args()
    roots, found, uses = crates(given.programs)
    listed = sorted(found.values(), key=lambda package: (package["name"], package["version"]))
    version = found[roots[0]]["version"]
    json.dump(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"component": {"type": "container", "name": "payload-manager", "version": version}},
            "components": [of_crate(package) for package in listed] + debian(given.files),
            "dependencies": [
                {
                    "ref": purl(package),
                    "dependsOn": sorted({purl(found[used]) for used in uses[package["id"]] if used in found}),
                }
                for package in listed
            ],
        },
        sys.stdout,
        indent=1,
    )
    print()


if __name__ == "__main__":
    main()
