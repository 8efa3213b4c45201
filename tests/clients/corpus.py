"""Real input: the small files of this machine's Python and Rust installations, and one large object."""

import os
import random
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SMALL_FILES = 20_000
SMALL_FILE_BYTES_MAX = 200_000
BLOCK = 1024 * 1024


def _trees():
    """Directories with many small files, most portable first."""
    yield Path(sysconfig.get_paths()["stdlib"])
    yield Path(sysconfig.get_paths()["purelib"])
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True)
    yield Path(sysroot.stdout.strip())
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    yield cargo_home / "registry" / "src"
    yield Path(sys.base_prefix)
    yield Path("/usr/share")
    yield Path("/usr/lib")
    yield Path("/usr/include")


def _small_files(tree):
    for directory, subdirectories, names in os.walk(tree):
        subdirectories.sort()
        for name in sorted(names):
            path = Path(directory, name)
            # A name that is not UTF-8 cannot be a key.
            readable = os.access(path, os.R_OK) and path.is_file() and not path.is_symlink()
            if readable and path.stat().st_size <= SMALL_FILE_BYTES_MAX and _is_utf8(str(path)):
                yield path


def _is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def build(target: Path) -> dict:
    """Copies at least SMALL_FILES files under `target`; returns relative key -> size."""
    files = {}
    for number, tree in enumerate(_trees()):
        for path in _small_files(tree):
            key = f"{number}/{path.relative_to(tree)}"
            copy = target / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            files[key] = copy.stat().st_size
            if len(files) >= SMALL_FILES:
                return files
    raise AssertionError(f"this machine has only {len(files)} small files; {SMALL_FILES} are needed")


class LargeObject:
    """A readable, seekable object of `length` bytes made block by block from a seed, so that gigabytes
    can be uploaded and compared without being stored here. Every block is different."""

    def __init__(self, seed: int, length: int):
        self.length = length
        self.position = 0
        self._base = random.Random(seed).randbytes(BLOCK)

    def block(self, number: int) -> bytes:
        turn = (number * 4099) % BLOCK
        whole = number.to_bytes(8, "big") + self._base[turn + 8:] + self._base[:turn]
        return whole[:BLOCK].ljust(BLOCK, b"\0")[: max(0, min(BLOCK, self.length - number * BLOCK))]

    def seekable(self):
        return True

    def tell(self):
        return self.position

    def seek(self, offset, whence=os.SEEK_SET):
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.length}[whence]
        self.position = base + offset
        return self.position

    def read(self, size=-1):
        end = self.length if size is None or size < 0 else min(self.length, self.position + size)
        pieces = []
        while self.position < end:
            number, inside = divmod(self.position, BLOCK)
            piece = self.block(number)[inside: inside + end - self.position]
            pieces.append(piece)
            self.position += len(piece)
        return b"".join(pieces)
