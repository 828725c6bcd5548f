"""The background check of a run's data: every shard is hashed and compared with the manifest while the run trains."""

import os
import sys
import threading
import time
from pathlib import Path

from corpus.manifest import Manifest, check_shards, remedy
from system.errors import UserError, first_line, how_to_resume, say, signed

SHARE = 0.05  # of one core's time, while the run trains


class ShardCheck:
    """Hashes the shards of a data folder: slowly in a thread while the run trains, at full speed at its end."""

    def __init__(self, data_dir: str | Path, manifest: Manifest, active: bool) -> None:
        """Start the thread. Only one process of each machine is `active`: its files are the same for all."""
        self.data_dir = Path(data_dir)
        self.damage = ""  # what is wrong with the first corrupt shard
        self.is_running = active
        self.has_failed = False  # before all shards were checked
        self.chunks = check_shards(self.data_dir, manifest)
        self.hurry = threading.Event()
        self.thread = threading.Thread(target=self.check_slowly, daemon=True)
        if active:
            self.thread.start()

    def check_for(self, seconds: float) -> None:
        """Check at full speed in the calling thread, for at most this long."""
        self.hurry.set()
        if self.thread.is_alive():
            self.thread.join()
        give_up = time.monotonic() + seconds
        while self.is_running and time.monotonic() < give_up:
            self.check_chunk()

    def check_slowly(self) -> None:
        """Check at low priority, with pauses; neither reading nor hashing holds Python's lock."""
        if sys.platform == "linux":  # where a thread has its own priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while self.is_running:
            began = time.perf_counter()
            self.check_chunk()
            if self.hurry.wait((time.perf_counter() - began) * (1 / SHARE - 1)):
                return

    def check_chunk(self) -> None:
        """Check the next chunk; the first damage ends the check."""
        try:
            damage = next(self.chunks, None)
        except Exception as error:  # of any kind, out of memory included: it says nothing about the data
            say(signed(f"the check of the shards failed ({first_line(error)})"))
            damage, self.has_failed = None, True
        if damage:
            self.report(damage)
        self.is_running = damage == ""

    def report(self, damage: str) -> None:
        """Note what is wrong with a shard, if it is the first damage. The next exchange of requests stops the run."""
        self.damage = self.damage or damage

    def error(self) -> UserError:
        """Return the error that ends the run, in all processes, when any of them found damage."""
        found = self.damage or "another process found a corrupt shard, see its error line"
        return UserError(
            f"{found}: any checkpoint that this command saved is now *.suspect; {remedy(self.data_dir)}, then"
            f" {how_to_resume()}"
        )
