"""`make dist`: packs what a release has.

    python -m infra.dist [--arch arm64 --packages target/lambda] [--cli target/release/openai-webhooks] [--out dist]

Equal input makes equal archives: each file has the same date, and names are sorted.
"""

import argparse
import gzip
import hashlib
import io
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_DATE = (1980, 1, 1, 0, 0, 0)
_PLAIN, _EXECUTABLE = 0o644, 0o755
_WITH_IT = ("README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "samconfig.toml", "infra/custom-domain.yaml")
_FOLDERS = ("docs", "events")


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.dist")
    parser.add_argument("--arch", choices=("arm64", "x86_64"), help="processor of the functions")
    parser.add_argument(
        "--packages", type=Path, default=ROOT / "target" / "lambda", help="folder with a folder for each function"
    )
    parser.add_argument("--cli", type=Path, help="command line for this platform")
    parser.add_argument("--sbom", type=Path, default=ROOT / "target" / "sbom", help="folder with bills of materials")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"openai-webhooks-{version()}"
    made = []
    if options.arch is not None:
        made.append(pack_stack(options.out / f"{name}-{options.arch}.zip", options.arch, options.packages))
    if options.cli is not None:
        made.append(pack_command_line(options.out / f"{name}-{platform_name()}.tar.gz", options.cli))
    for bill in sorted(options.sbom.glob("*.json")):
        made.append(options.out / bill.name)
        made[-1].write_bytes(bill.read_bytes())
    write_sums(options.out)
    for path in made:
        print(f"{path.stat().st_size / 1e6:6.1f} MB  {path}")
    return 0


def version() -> str:
    """Version of the workspace."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def pack_stack(path: Path, architecture: str, packages: Path) -> Path:
    """Pack functions, template, settings and docs into a zip whose folder `sam deploy` takes as it is."""
    template = (ROOT / "template.yaml").read_text()
    names = re.findall(r"CodeUri: functions/([\w-]+)/", template)
    missing = [name for name in names if not (packages / name / "bootstrap").is_file()]
    if missing:
        raise SystemExit(f"Not built: {', '.join(missing)}, in {packages}")
    fixed = template.replace("!Ref Architecture]", f"{architecture}]")
    folder = path.stem
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, f"{folder}/template.yaml", fixed.encode(), _PLAIN)
        for name in names:
            _add(
                archive,
                f"{folder}/functions/{name}/bootstrap",
                (packages / name / "bootstrap").read_bytes(),
                _EXECUTABLE,
            )
        for file in _kept():
            _add(archive, f"{folder}/{file}", (ROOT / file).read_bytes(), _PLAIN)
    return path


def pack_command_line(path: Path, binary: Path) -> Path:
    """Pack the command line with its completions and manual pages."""
    folder = path.name.removesuffix(".tar.gz")
    files = {"openai-webhooks": (binary.read_bytes(), _EXECUTABLE)}
    for shell, name in (("bash", "openai-webhooks"), ("zsh", "_openai-webhooks"), ("fish", "openai-webhooks.fish")):
        script = subprocess.run([binary, "completions", shell], capture_output=True, check=True).stdout
        files[f"completions/{shell}/{name}"] = (script, _PLAIN)
    with tempfile.TemporaryDirectory() as pages:
        subprocess.run([binary, "man", "--dir", pages], capture_output=True, check=True)
        files |= {f"man/man1/{page.name}": (page.read_bytes(), _PLAIN) for page in Path(pages).iterdir()}
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        files[name] = ((ROOT / name).read_bytes(), _PLAIN)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return path


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` of all other files in the folder, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _kept() -> Iterator[str]:
    """Files of the repository that belong to the functions, as paths."""
    yield from _WITH_IT
    for folder in _FOLDERS:
        found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        yield from sorted(str(path.relative_to(ROOT)) for path in found)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = (0o100000 | mode) << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def platform_name() -> str:
    """Name of this platform in the names of files, such as `linux-x86_64`."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}-{machine}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
