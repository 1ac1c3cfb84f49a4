#!/usr/bin/env python3
"""Checks how the house is built: a crate uses only crates on lower floors, files stay short, one crate alone allows unsafe code.

Prints one line per breach and exits with 1 when there is any.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

FLOORS = [
    ("cellar", ["document", "json"]),
    ("ground floor", ["wire", "policy", "catalogue", "keeper"]),
    ("first floor", ["ledger", "builtin"]),
    ("second floor", ["runs"]),
    ("third floor", ["admit"]),
    ("fourth floor", ["upstreams", "services", "ssh"]),
    ("fifth floor", ["gate"]),
    ("sixth floor", ["dashboard"]),
    ("roof", ["portcullis"]),
]
OUTSIDE = ["fixture", "bench"]  # they may use the house, the house may not use them
LONGEST = 600  # lines; a longer file holds two ideas
UNSAFE = "keeper"  # the one crate with unsafe code
NOT_MEASURED = {"tests", "benches", "fuzz"}

LEVEL = {crate: level for level, (_, crates) in enumerate(FLOORS) for crate in crates}


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    members = {pathlib.Path(package["manifest_path"]).parent: package for package in metadata["packages"]}
    breaches = [
        *wrong_stairs(members),
        *long_files(root, members),
        *allowed_unsafe(root, members),
    ]
    for breach in breaches:
        print(f"floors: {breach}")
    if breaches:
        sys.exit(1)
    print(f"{len(members)} crates stand where they belong")


def wrong_stairs(members):
    """Normal and build dependencies that do not lead down; tests may use whatever they need."""
    for folder, package in members.items():
        crate = folder.name
        if crate in OUTSIDE:
            continue
        if crate not in LEVEL:
            yield f"crates/{crate} stands on no floor: give it one in ci/floors.py"
            continue
        for dependency in package["dependencies"]:
            path = dependency.get("path")
            if dependency["kind"] == "dev" or path is None or pathlib.Path(path) not in members:
                continue
            used = pathlib.Path(path).name
            if used in OUTSIDE:
                yield f"crates/{crate} uses {used}, which stands outside the house"
            elif used in LEVEL and LEVEL[used] >= LEVEL[crate]:
                yield f"crates/{crate} ({floor(crate)}) uses crates/{used} ({floor(used)}): expected a lower floor"


def floor(crate):
    return FLOORS[LEVEL[crate]][0]


def long_files(root, members):
    for folder in members:
        for file in sorted(folder.rglob("*.rs")):
            if NOT_MEASURED.intersection(file.relative_to(root).parts):
                continue
            lines = len(file.read_bytes().splitlines())
            if lines > LONGEST:
                yield f"{file.relative_to(root)} has {lines} lines: expected at most {LONGEST}"


def allowed_unsafe(root, members):
    """`unsafe_code = "forbid"` stands once, in the workspace; a crate has it only if it takes the workspace's lints.

    The keeper has the same lints with `deny` in its place, so that each exception stands beside its reason.
    """
    lints = read(root)["workspace"].get("lints", {})
    level = lints.get("rust", {}).get("unsafe_code")
    if level not in ("forbid", {"level": "forbid"}):
        yield f'Cargo.toml: expected unsafe_code = "forbid" in [workspace.lints.rust], found {level!r}'
    excepted = {**lints, "rust": {**lints.get("rust", {}), "unsafe_code": "deny"}}
    for folder in members:
        own = read(folder).get("lints", {})
        if folder.name == UNSAFE:
            if own != excepted:
                yield f'{folder.relative_to(root)}/Cargo.toml: expected the workspace\'s [lints] with unsafe_code = "deny"'
        elif own.get("workspace") is not True:
            yield f"{folder.relative_to(root)}/Cargo.toml: expected `workspace = true` under [lints]"


def read(folder):
    return tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
