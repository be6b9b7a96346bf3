"""Generate, check and lint the protos: `python tools/protos.py generate|check|lint|format|breaking`.

The stubs under clients/python/crystalmesh are committed, so that nobody needs this tool to use them;
`check` fails when they are not what the protos say.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "clients" / "python" / "crystalmesh"
GOOGLEAPIS = ROOT / ".tools" / "googleapis"
IMPORTED = ("google/rpc/status.proto",)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["generate", "check", "lint", "format", "breaking"])
    parser.add_argument("--against", help="revision to compare with (breaking); default: see README")
    arguments = parser.parse_args()
    place_googleapis()
    match arguments.command:
        case "generate":
            return generate(STUBS)
        case "check":
            return check()
        case "lint":
            return buf("lint") or buf("format", "--diff", "--exit-code", "protos")
        case "format":
            return buf("format", "--write", "protos")
        case _:
            return breaking(arguments.against)


def place_googleapis() -> None:
    """Put the few Google protos that ours import where buf and protoc find them."""
    source = files("google.rpc")
    for name in IMPORTED:
        target = GOOGLEAPIS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((source / Path(name).name).read_bytes())


def generate(out: Path) -> int:
    """Write stubs and their types for every proto to `out`, which is replaced."""
    protos = sorted(PROTOS.glob("crystalmesh/**/*.proto"))
    with_service = [p for p in protos if "\nservice " in p.read_text()]
    well_known = Path(str(files("grpc_tools") / "_proto"))
    with tempfile.TemporaryDirectory() as scratch:
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
        protoc += [f"-I{path}" for path in (PROTOS, GOOGLEAPIS, well_known)]
        # mypy-protobuf's plugins lie beside this interpreter, which need not be on PATH.
        for plugin in ("protoc-gen-mypy", "protoc-gen-mypy_grpc"):
            protoc.append(f"--plugin={plugin}={Path(sys.executable).parent / plugin}")
        messages = [f"--python_out={scratch}", f"--mypy_out=quiet:{scratch}"]
        services = [
            f"--grpc_python_out={scratch}",
            f"--mypy_grpc_out=quiet,generate_concrete_servicer_stubs:{scratch}",
        ]
        for outputs, sources in ((messages, protos), (services, with_service)):
            done = subprocess.run([*protoc, *outputs, *map(str, sources)], check=False)
            if done.returncode:
                return done.returncode
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(Path(scratch) / "crystalmesh", out)
    (out / "py.typed").touch()
    return 0


def check() -> int:
    """Fail when the committed stubs differ from what the protos generate."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "crystalmesh"
        if code := generate(fresh):
            return code
        names = {p.relative_to(root) for root in (fresh, STUBS) for p in root.rglob("*") if is_source(p)}
        drifted = [n for n in sorted(names) if not same(fresh / n, STUBS / n)]
    for name in drifted:
        print(f"stub drifted from its proto: {name}", file=sys.stderr)
    if drifted:
        print("run `make proto` and commit the result", file=sys.stderr)
    return 1 if drifted else 0


def is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def breaking(against: str | None) -> int:
    """Fail when the protos break callers of the protos at `against`.

    By default that is main, or where we are on main itself, the last release, or the commit before.
    """
    revision = against or base_revision()
    if revision is None or git("ls-tree", revision, "protos") == "":
        print("no earlier protos to compare with")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        archive = subprocess.run(
            ["git", "archive", revision, "protos", "buf.yaml"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", scratch], input=archive, check=True)
        shutil.copytree(GOOGLEAPIS, Path(scratch) / ".tools" / "googleapis")
        print(f"comparing with {revision}")
        return buf("breaking", "--against", scratch)


def base_revision() -> str | None:
    head = git("rev-parse", "HEAD")
    candidates = ["origin/main", "main"]
    candidates += git("tag", "--list", "v*", "--sort=-version:refname").split()[:1]
    candidates += ["HEAD^"]
    for name in candidates:
        revision = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if revision and revision != head:
            return name
    return None


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def buf(*arguments: str) -> int:
    program = ROOT / "node_modules" / ".bin" / "buf"
    if not program.exists():
        print("buf is not installed (it comes with npm): `npm install` brings it", file=sys.stderr)
        return 1
    return subprocess.run([str(program), *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
