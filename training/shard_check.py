"""The hashes of a data folder's shards, compared with the manifest beside a training.

Owns the thread that does it, and its manners. What the hashes are is `data.py`'s; `prepare_data.py --verify` checks a
folder in the foreground.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from corpus.dataset import Manifest, anew
from system.errors import UserError

CHUNK_BYTES = 2**20
SHARE = 0.05  # of one core's time, while nobody waits


class ShardCheck:
    """Reads and hashes every shard: gently in a thread while a training computes, at full speed once that waits."""

    def __init__(self, data_dir: str | Path, manifest: Manifest, active: bool) -> None:
        """Begin. `active` is for one process of each machine, whose files are the same for all; others find no damage."""
        self.data_dir, self.manifest = Path(data_dir), manifest
        self.damage = ""  # in words, once some is found
        self.goes_on = active  # whether some shards are yet to be read
        self.chunks = self.check()
        self.hurry = threading.Event()
        self.thread = threading.Thread(target=self.check_gently, daemon=True)
        if active:
            self.thread.start()

    def hurry_on(self, seconds: float) -> None:
        """Check for so long at full speed, in the thread that waits."""
        self.hurry.set()
        if self.thread.is_alive():
            self.thread.join()
        give_up = time.monotonic() + seconds
        while self.goes_on and time.monotonic() < give_up:
            next(self.chunks, None)

    def refusal(self) -> UserError:
        """Return what to say where any process found damage: the steps done with such data are not kept."""
        found = self.damage or "another process found its shards damaged and says which"
        return UserError(
            f"{found}: nothing since the last checkpoint is kept; {anew(self.data_dir)}, then the same command goes on"
        )

    def check_gently(self) -> None:
        """Check in what time others leave, and in little of that; neither reading nor hashing holds Python's lock."""
        if sys.platform == "linux":  # where a thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        began = time.perf_counter()
        for _ in self.chunks:
            if self.hurry.wait((time.perf_counter() - began) * (1 / SHARE - 1)):
                return
            began = time.perf_counter()

    def check(self) -> Iterator[None]:
        """Compare the shards with the manifest, up to the first that differs, a chunk at a time."""
        buffer = memoryview(bytearray(CHUNK_BYTES))
        for shard in (shard for split in self.manifest.splits.values() for shard in split.shards):
            path, digest = self.data_dir / shard.name, hashlib.sha256()
            try:
                with open(path, "rb", buffering=0) as file:
                    while count := file.readinto(buffer):
                        digest.update(buffer[:count])
                        yield
            except OSError as error:
                self.damage = f"cannot read {path} ({error.strerror})"
                break
            if digest.hexdigest() != shard.sha256:
                self.damage = f"{path} is damaged (its sha256 is not the manifest's)"
                break
        self.goes_on = False
