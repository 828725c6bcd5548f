"""Whether a server answers, asked within a few seconds.

Owns the one bounded question. The libraries that download (tiktoken, huggingface_hub) either set no time limit or
try again for minutes, and a name server that drops packets blocks even a socket that has a timeout.
"""

import ssl
import threading
import urllib.error
import urllib.request


def reachable(url: str, seconds: float = 5.0) -> bool:
    """Return whether the server of `url` gives any answer, proxies of the environment included, within `seconds`."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
        except urllib.error.HTTPError as refusal:
            refusal.close()  # a refusal is an answer too
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ssl.SSLError):  # the libraries may know other certificates
                return
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
