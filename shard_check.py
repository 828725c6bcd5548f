"""The hashes of a data folder's shards, compared with the manifest beside a training.

Owns the thread that does it, and its manners. What the hashes are is `data.py`'s; `prepare_data.py --verify` checks a
folder in the foreground.
"""

import hashlib
import threading
import time
from pathlib import Path

from data import Manifest

CHUNK_BYTES = 2**20
SHARE = 0.05  # of one core's time, while nobody waits


class ShardCheck:
    """Reads and hashes every shard in a thread: gently while a training computes, at full speed when that waits."""

    def __init__(self, data_dir: str | Path, manifest: Manifest, active: bool) -> None:
        """`active` is for one process of each machine, as its files are the same for all; others find no damage."""
        self.data_dir, self.manifest = Path(data_dir), manifest
        self.damage = ""  # in words, once some is found
        self.hurry = threading.Event()
        self.thread = threading.Thread(target=self.check, daemon=True) if active else None

    def start(self) -> None:
        """Begin."""
        if self.thread:
            self.thread.start()

    @property
    def goes_on(self) -> bool:
        """Whether some shards are yet to be read."""
        return self.thread is not None and self.thread.is_alive()

    def wait(self) -> str:
        """Finish at full speed; return what is damaged, empty for nothing."""
        self.hurry.set()
        if self.thread:
            self.thread.join()
        return self.damage

    def check(self) -> None:
        """Compare the shards with the manifest, up to the first that differs."""
        for shard in (shard for split in self.manifest.splits.values() for shard in split.shards):
            path = self.data_dir / shard.name
            try:
                found = self.gentle_hash(path)
            except OSError as error:
                self.damage = f"cannot read {path} ({error.strerror})"
                return
            if found != shard.sha256:
                self.damage = f"{path} is damaged (its sha256 is not the manifest's)"
                return

    def gentle_hash(self, path: Path) -> str:
        """Return the sha256 of a file, resting after each chunk; neither reading nor hashing holds Python's lock."""
        digest, buffer = hashlib.sha256(), memoryview(bytearray(CHUNK_BYTES))
        with open(path, "rb", buffering=0) as file:
            began = time.perf_counter()
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
                self.hurry.wait((time.perf_counter() - began) * (1 / SHARE - 1))
                began = time.perf_counter()
        return digest.hexdigest()
