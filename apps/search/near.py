"""How far a passage has a query's words, where a near word counts as far as it is near.

Each token of the query takes the token of the passage whose vector is nearest (MaxSim of ColBERT, Khattab and Zaharia 2020),
here from a table of vectors. The longer a vector of the table, the more its token tells: "the" has a short one.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from apps.search.embedders import TableEmbedder, normalized


class NearWords:
    """Compares queries and passages by the tokens of a table."""

    def __init__(self, table: TableEmbedder) -> None:
        self.table = table
        self.weights = np.linalg.norm(table.table, axis=1)  # (V,)
        self.directions = normalized(table.table)  # (V, D)

    def compare(self, query: str, passages: Sequence[np.ndarray]) -> np.ndarray:
        """Return how near the query's tokens are to those of each passage, on average: (N,), 1 for one that has them all."""
        [wanted] = different_tokens(self.table, [query])
        lengths = [len(passage) for passage in passages]
        if not len(wanted) or 0 in lengths:
            raise ValueError("a query or a passage has no token")
        tokens, places = np.unique(np.concatenate(passages), return_inverse=True)
        nearness = self.directions[tokens] @ self.directions[wanted].T  # (tokens, the query's)
        best = np.maximum.reduceat(
            nearness[places], np.cumsum([0, *lengths[:-1]]), axis=0
        )  # (N, the query's)
        return best @ self.weights[wanted] / self.weights[wanted].sum()


def different_tokens(table: TableEmbedder, texts: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield each text's tokens in lower case, as people type, each once: sorted, uint16."""
    return (np.unique(np.array(ids, np.uint16)) for ids in table.tokens([text.lower() for text in texts]))
