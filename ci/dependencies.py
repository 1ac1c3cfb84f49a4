#!/usr/bin/env python3
"""The part of `cargo deny check licenses bans sources` that needs no cargo-deny: banned crates, licences, wildcards, sources.

Reads deny.toml. Prints one line per finding and exits with 1 when there is any.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

INDEX = "registry+https://github.com/rust-lang/crates.io-index"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    deny = tomllib.loads((root / "deny.toml").read_text(encoding="utf-8"))
    metadata = json.loads(cargo(root, "metadata", "--format-version", "1"))
    # Metadata also has what is optional and never chosen; the tree has what is built.
    chosen = [argument for target in deny["graph"]["targets"] for argument in ("--target", target)]
    tree = cargo(root, "tree", "--workspace", "--prefix", "none", "--format", "{p}", *chosen)
    built = {" ".join(line.split()[:2]) for line in tree.splitlines() if line}
    packages = [package for package in metadata["packages"] if f"{package['name']} v{package['version']}" in built]
    if len(packages) != len(built):
        sys.exit(f"dependencies: cargo's tree has {len(built)} packages, its metadata {len(packages)} of them")
    findings = [finding for package in packages for finding in wrong(package, deny)]
    for finding in findings:
        print(f"dependencies: {finding}")
    if findings:
        sys.exit(1)
    print(f"{len(packages)} packages have allowed licences and sources, none is banned")


def cargo(root, *arguments):
    return subprocess.run(["cargo", *arguments, "--locked"], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


def wrong(package, deny):
    name = f"{package['name']} {package['version']}"
    if package["name"] in {ban["crate"] for ban in deny["bans"]["deny"]}:
        yield f"{name} is banned by deny.toml"
    allowed = set(deny["licenses"]["allow"])
    for exception in deny["licenses"].get("exceptions", []):
        if exception["crate"] == package["name"]:
            allowed.update(exception["allow"])
    licence = package["license"]
    if licence is None:
        yield f"{name} names no licence"
    elif not Expression(licence).satisfied_by(allowed):
        yield f"{name}: the licence {licence} is not allowed by deny.toml"
    if package["source"] is None:
        for dependency in package["dependencies"]:
            if dependency["req"] == "*" and dependency.get("path") is None:
                yield f"{name} takes any version of {dependency['name']}"
    elif package["source"] != INDEX:
        yield f"{name} comes from {package['source']}, expected the crates.io index"


class Expression:
    """An SPDX expression. `/` is how old packages write OR."""

    def __init__(self, text):
        self.text = text
        self.words = re.findall(r"[()/]|[^\s()/]+", text)

    def satisfied_by(self, allowed):
        self.allowed = allowed
        self.rest = list(self.words)
        holds = self.either()
        if self.rest:
            raise ValueError(f"cannot read the licence expression {self.text!r}")
        return holds

    def either(self):
        holds = self.both()
        while self.rest and self.rest[0] in ("OR", "/"):
            self.rest.pop(0)
            # Read first: the words have to be taken even when the left side decides.
            holds = self.both() or holds
        return holds

    def both(self):
        holds = self.one()
        while self.rest and self.rest[0] == "AND":
            self.rest.pop(0)
            holds = self.one() and holds
        return holds

    def one(self):
        word = self.rest.pop(0) if self.rest else ""
        if word == "(":
            holds = self.either()
            if not self.rest or self.rest.pop(0) != ")":
                raise ValueError(f"cannot read the licence expression {self.text!r}")
            return holds
        if self.rest[:1] == ["WITH"]:
            self.rest.pop(0)
            word = f"{word} WITH {self.rest.pop(0)}"
        return word in self.allowed


if __name__ == "__main__":
    main()
