"""Chat templates: how a conversation becomes the text that a chat model was trained on.

A template is a program in Jinja that comes with the model, so it runs in jinja2's sandbox. The names of special tokens
mean these tokens where the template writes them, and are plain text where a message has them.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import TOKENIZER_CONFIG
from system.errors import UserError
from system.files import read_json

TEMPLATE_FILE = "chat_template.jinja"

Message = Mapping[str, str]  # role ("system", "user" or "assistant") and content


class ChatTemplate:
    """Turns messages into the tokens of a prompt. Raises UserError if the template has mistakes."""

    def __init__(self, source: str, tokenizer: Tokenizer, variables: Mapping[str, Any], name: str) -> None:
        self._source, self._tokenizer, self._variables, self._name = source, tokenizer, variables, name
        names = sorted(tokenizer.special_tokens, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, names)))

    @cached_property
    def _template(self) -> Any:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            return environment.from_string(self._source)
        except jinja2.TemplateError as error:
            raise UserError(f"{self._name}: its chat template has a mistake: {error}") from None

    def tokens(self, messages: Sequence[Message], **options: Any) -> list[int]:
        """Return the tokens of a conversation, up to where the model's answer begins.

        `options` are variables that the template may read, such as Qwen3's `enable_thinking`. Raises UserError if it
        refuses the messages.
        """
        template = self._template
        # Put into the names of special tokens in messages, so that they are encoded as text.
        nonce = secrets.token_hex(16)
        marked = [
            {**message, "content": self._special.sub(lambda found: _cut(found[0], nonce), message["content"])}
            for message in messages
        ]
        try:
            text = template.render(**self._variables, messages=marked, add_generation_prompt=True, **options)
        except Exception as error:  # of any kind: a template is a program
            raise UserError(f"{self._name}: its chat template rejected the messages: {error}") from None
        tokens: list[int] = []
        end = 0
        for found in self._special.finditer(text):
            tokens += self._tokenizer.encode(text[end : found.start()].replace(nonce, ""))
            tokens.append(self._tokenizer.special_tokens[found[0]])
            end = found.end()
        return tokens + self._tokenizer.encode(text[end:].replace(nonce, ""))


def read_template(folder: Path, tokenizer: Tokenizer, name: str) -> ChatTemplate | None:
    """Return the chat template of a model's folder in Hugging Face's layout, None if it has none."""
    settings = read_json(folder / TOKENIZER_CONFIG, missing={})
    source = settings.get("chat_template")
    if isinstance(source, list):  # several by name
        source = {entry.get("name"): entry.get("template") for entry in source}.get("default")
    if (folder / TEMPLATE_FILE).is_file():
        source = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    if not isinstance(source, str):
        return None
    variables = {}
    for key in ("bos_token", "eos_token", "pad_token", "unk_token"):
        token = settings.get(key)
        variables[key] = token.get("content") if isinstance(token, dict) else token
    return ChatTemplate(source, tokenizer, variables, name)


def _cut(name: str, nonce: str) -> str:
    return name[:1] + nonce + name[1:]


def _to_json(value: Any, **options: Any) -> str:
    """Write a value as JSON with the characters as they are: jinja2's own filter escapes them for HTML."""
    return json.dumps(value, ensure_ascii=False, **options)


def _refuse(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
