"""The settings of `apps.search index`, `ask` and `serve`."""

from dataclasses import dataclass

from system.settings import PathsText, PathText, checked

MOST_WORDS = 64  # of a query that are searched for


@checked
@dataclass(frozen=True)
class IndexConfig:
    """What to index, and how. Raises ValueError on invalid values."""

    out_dir: PathText = "index/wikipedia"  # the folder of the index
    source: PathsText = "hub"  # hub, builtin, a folder like a hub dataset, or globs of text files
    dataset: str = "wikimedia/wikipedia"  # the hub dataset to read
    subset: str = "20231101.en"  # its subset (hub and folder)
    n_shards: int = 1  # parquet files of the subset to read; 0: all (hub and folder)
    embedder: PathText = (
        "static"  # static, minilm, a run of apps.search.biencoder, or a sentence-transformers model
    )
    add: bool = False  # add the source's articles to a complete index; those it has are replaced
    overwrite: bool = False  # replace the index in out_dir, once the new one is complete

    def __post_init__(self) -> None:
        if self.n_shards < 0:
            raise ValueError(f"n_shards={self.n_shards}: must be at least 0 (0: all)")
        if self.source.startswith("pairs:"):
            raise ValueError(f"source={self.source}: pairs are not articles: use a source of articles")
        if self.add and self.overwrite:
            raise ValueError("add=True, overwrite=True: set only one of the two")


@checked
@dataclass(frozen=True)
class RemoveConfig:
    """What to take out of an index. Raises ValueError on invalid values."""

    title: str = ""  # of the articles, exactly; or as the first words
    index: PathText = "index/wikipedia"  # made by `python -m apps.search index`


@checked
@dataclass(frozen=True)
class AskConfig:
    """What to ask. Raises ValueError on invalid values."""

    question: str = ""  # or as the first words
    index: PathText = "index/wikipedia"  # made by `python -m apps.search index`
    checkpoint: PathText = (
        ""  # that writes a summary: a run, a checkpoint, a Hugging Face folder or a hub name
    )
    n_results: int = 5  # articles
    json: bool = False  # print JSON instead

    def __post_init__(self) -> None:
        if self.n_results < 1:
            raise ValueError(f"n_results={self.n_results}: must be at least 1")


@checked
@dataclass(frozen=True)
class ServeConfig:
    """How to serve the search page. Raises ValueError on invalid values."""

    index: PathText = "index/wikipedia"  # made by `python -m apps.search index`
    checkpoint: PathText = (
        ""  # that writes summaries: a run, a checkpoint, a Hugging Face folder or a hub name
    )
    host: str = "127.0.0.1"  # address to listen on; others than loopback need a key, in WIKIGPT_API_KEY
    port: int = 8000  # 0: any free one
    n_results: int = 10  # articles on the page
    open: bool = False  # the page, in a browser

    def __post_init__(self) -> None:
        if self.n_results < 1:
            raise ValueError(f"n_results={self.n_results}: must be at least 1")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port={self.port}: must be in [0, 65535]")
