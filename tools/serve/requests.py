"""What a request may say: the OpenAI API's fields that this server has, and three more for sampling.

Source: https://platform.openai.com/docs/api-reference. Fields that would change the answer and are not here are errors.
"""

import json
import secrets
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sampling.config import Sampling

MOST_LIKELIEST = 20  # tokens whose log-probabilities a request may ask for

Stop = Annotated[str, Field(min_length=1)]
Request = TypeVar("Request", bound=BaseModel)


class Strict(BaseModel):
    """A model that takes no other fields and converts no types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Strict):
    """`stream_options`."""

    include_usage: bool = False


class Common(Strict):
    """The fields of both kinds of requests."""

    model: str = ""
    n: int = Field(1, ge=1, le=128)
    max_tokens: int = Field(16, ge=1)
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = None  # None: another one for each request
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    # Not in the OpenAI API:
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0)
    # Taken, but they change nothing:
    user: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    store: bool = False
    service_tier: str = ""
    frequency_penalty: Literal[0] = 0
    presence_penalty: Literal[0] = 0

    def sampling(self) -> Sampling:
        """Return the settings as the engine has them."""
        seed = secrets.randbits(31) if self.seed is None else self.seed
        return Sampling(
            n_samples=self.n,
            max_new_tokens=self.max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=seed,
        )


class CompletionRequest(Common):
    """/v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=MOST_LIKELIEST)
    echo: Literal[False] = False
    best_of: Literal[1] = 1

    def prompts(self) -> list[str | list[int]]:
        """Return the prompts, each a text or tokens."""
        several: Any = self.prompt
        is_one = isinstance(several, str) or (bool(several) and isinstance(several[0], int))
        return [several] if is_one else several


class TextPart(Strict):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Strict):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str = ""

    def as_message(self) -> dict[str, str]:
        """Return it as chat templates take it."""
        content = (
            self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        )
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class TemplateOptions(Strict):
    """`chat_template_kwargs`, as other servers of Qwen3 take it."""

    enable_thinking: bool = True


class ChatRequest(Common):
    """/v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int = Field(0, ge=0)  # 0: as many as the server allows
    max_completion_tokens: int = Field(0, ge=0)  # the newer name
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MOST_LIKELIEST)
    chat_template_kwargs: TemplateOptions = TemplateOptions()


def parsed(kind: type[Request], body: bytes) -> Request:
    """Return the request in a body. Raises ValueError with one line that names the field."""
    try:
        content = json.loads(body)
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("the request has half of a surrogate pair, which is not valid Unicode") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the request is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"the request is a JSON {type(content).__name__}: must be an object")
    try:
        return kind.model_validate({key: value for key, value in content.items() if value is not None})
    except ValidationError as failed:
        first = failed.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        what = "this server does not have it" if first["type"] == "extra_forbidden" else first["msg"]
        raise ValueError(f"{place}: {what}") from None
