"""What a request may say: the OpenAI API's fields that this server has, and three more for sampling.

Source: https://platform.openai.com/docs/api-reference. Fields that would change the answer and are not here are errors.
"""

import json
import re
import secrets
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sampling.config import Sampling

MAX_TOP_LOGPROBS = 20  # tokens whose log-probabilities a request may ask for

# pydantic's kinds of errors whose own words are unclear, and what it calls the choices of a union.
PLAIN = {
    "extra_forbidden": "this server does not have it",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "literal_error": "not supported here: leave it out",
}
NOT_OURS = re.compile(r"\[|^(constrained-)?str$")

Stop = Annotated[str, Field(min_length=1)]
Request = TypeVar("Request", bound=BaseModel)


def _is_prompt(value: Any) -> Any:
    """Return a prompt as it is; raise ValueError for anything but a text, tokens, or a list of either."""
    items = value if isinstance(value, list) else [value]
    lists_of_tokens = [item if isinstance(item, list) else [item] for item in items]
    are_tokens = all(type(token) is int for tokens in lists_of_tokens for token in tokens)
    is_text = isinstance(value, str) or all(isinstance(item, str) for item in items)
    is_alike = len({type(item) for item in items}) == 1
    if not items or not is_alike or not (is_text or (isinstance(value, list) and are_tokens)):
        raise ValueError("must be a text, token ids, or a list of either")
    return value


Prompt = Annotated[Any, AfterValidator(_is_prompt)]


class Strict(BaseModel):
    """A model that takes no other fields and converts no types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Strict):
    """`stream_options`."""

    include_usage: bool = False


class Common(Strict):
    """The fields of both kinds of requests."""

    default_tokens: ClassVar[int] = 16
    model: str = ""
    n: int = Field(1, ge=1, le=128)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = None  # None: another one for each request
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    # Not in the OpenAI API:
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, ge=0.01, le=100)
    # Taken, but they change nothing:
    user: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    store: bool = False
    service_tier: str = ""
    # Taken with the values that change nothing:
    frequency_penalty: Literal[0] = 0
    presence_penalty: Literal[0] = 0
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] = Field(default_factory=dict)

    def sampling(self, most_tokens: int) -> Sampling:
        """Return the settings as the engine has them; without max_tokens, the API's 16 for texts, for answers the most."""
        seed = secrets.randbits(31) if self.seed is None else self.seed
        return Sampling(
            n_samples=self.n,
            max_new_tokens=self.max_tokens or min(self.default_tokens, most_tokens),
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=seed,
        )


class CompletionRequest(Common):
    """/v1/completions."""

    prompt: Prompt
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
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
    name: str = ""  # taken, but it changes nothing

    def as_message(self) -> dict[str, str]:
        """Return it as chat templates take it."""
        content = (
            self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        )
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class TemplateOptions(Strict):
    """`chat_template_kwargs`, as other servers of Qwen3 take it."""

    enable_thinking: bool = True


class TextFormat(Strict):
    """`response_format`."""

    type: Literal["text"] = "text"


class ChatRequest(Common):
    """/v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    default_tokens: ClassVar[int] = 2**31
    max_completion_tokens: int | None = Field(None, ge=1)  # the newer name
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MAX_TOP_LOGPROBS)
    chat_template_kwargs: TemplateOptions = TemplateOptions()
    tools: Annotated[list[Any], Field(max_length=0)] = Field(default_factory=list)
    response_format: TextFormat = TextFormat()

    @model_validator(mode="after")
    def _one_limit(self) -> "ChatRequest":
        if self.max_tokens and self.max_completion_tokens:
            raise ValueError("max_tokens, max_completion_tokens: set only one of the two")
        self.max_tokens = self.max_tokens or self.max_completion_tokens
        return self


def without_nulls(value: Any) -> Any:
    """Return JSON without the keys whose value is null: clients send them for what they leave out."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


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
        return kind.model_validate(without_nulls(content))
    except ValidationError as failed:
        first = failed.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if not NOT_OURS.search(str(part)))
        what = PLAIN.get(first["type"], first["msg"]).removeprefix("Value error, ")
        raise ValueError(f"{place}: {what}" if place else what) from None
