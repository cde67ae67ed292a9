"""Program that copies Swagger UI and ReDoc from their npm packages into the gateway.

Because of these copies, the API documentation pages of the gateway load no files from other hosts. `manifest.json`
names the packages, their versions and the files to copy. To use another version, change the version in `manifest.json`,
run `make vendor`, and look at both pages.
"""

import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR_DIRECTORY = Path(__file__).parent.parent / "web" / "pages" / "docs_vendor"
_MANIFEST = VENDOR_DIRECTORY / "manifest.json"
# The program compresses files with these suffixes, because a search in the source code would otherwise print lines
# of a megabyte.
_COMPRESSED_SUFFIXES = (".css", ".js")


def main() -> None:
    """Download the packages that the manifest names, copy their files, and write the file hashes into the manifest."""
    manifest = json.loads(_MANIFEST.read_text())
    for name, package in manifest.items():
        with tempfile.TemporaryDirectory() as directory:
            package["integrity"], archive = _fetch(f"{name}@{package['version']}", Path(directory))
            with tarfile.open(archive) as opened:
                package["files"] = {path: _store(opened, name, path) for path in sorted(package["files"])}
    _MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")


def _fetch(specification: str, directory: Path) -> tuple[str, Path]:
    """Download a package with npm.

    Args:
        specification: The name and the version of the package, such as `redoc@2.5.0`.
        directory: The directory into which npm writes the archive of the package.

    Returns:
        The hash with which npm verified the archive, and the path of the archive.
    """
    command = ["npm", "pack", specification, "--json", "--pack-destination", str(directory)]
    packed: Any = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    (package,) = packed if isinstance(packed, list) else packed.values()
    return package["integrity"], directory / package["filename"]


def _store(archive: tarfile.TarFile, package_name: str, path: str) -> str:
    """Copy one file from the archive of a package into the gateway, and return the SHA-256 hash of the file."""
    member = archive.extractfile(f"package/{path}")
    assert member is not None
    content = member.read()
    target = VENDOR_DIRECTORY / package_name / Path(path).name
    target.parent.mkdir(exist_ok=True)
    if target.suffix in _COMPRESSED_SUFFIXES:
        target.with_name(f"{target.name}.gz").write_bytes(gzip.compress(content, mtime=0))
    else:
        target.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
