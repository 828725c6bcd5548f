"""Check within a few seconds whether a server answers.

Libraries that download (tiktoken, huggingface_hub) have no time limit or retry for minutes, and a name server that
drops packets blocks even a socket with a timeout.
"""

import ssl
import threading
import urllib.error
import urllib.request


def reachable(url: str, seconds: float = 5.0) -> bool:
    """Return whether the server of `url` answers within `seconds`, through the environment's proxies if set."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
        except urllib.error.HTTPError as response:
            response.close()  # an error status is an answer too
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ssl.SSLError):  # the libraries may trust other certificates
                return
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()
