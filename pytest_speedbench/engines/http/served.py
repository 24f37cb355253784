"""What a server serves, and what only the target's own files tell of it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.engines.http.endpoint import SERVED_NAME
from pytest_speedbench.errors import EngineError

MODELS_PATH = "/v1/models"


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_vocab: int | None = None


class _Card(msgspec.Struct):
    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    owned_by: str | None = None
    meta: _Meta | None = None


class _Cards(msgspec.Struct):
    data: list[_Card]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server has, as far as its card says.

    Attributes:
        name: in requests.
        context_tokens: the longest sequence, prompt and output together.
        vocab_size: the size of its vocabulary.
        origin: where it was loaded from.
        owner: which server it is, in one word.
        base: the model that it is an adapter of; ``None`` for a model by itself.
        counted_as: names under which the server may count what it decodes, its own first: servers count an adapter's
            requests as its base's, and those of a model of several names under the first.
    """

    name: str
    context_tokens: int | None
    vocab_size: int | None = None
    origin: str | None = None
    owner: str | None = None
    base: str | None = None
    counted_as: tuple[str, ...] = ()


def name_to_ask(pair: Pair) -> str | None:
    """The served model's name that the pair gives; ``None`` if it leaves that to the server.

    Raises:
        EngineError: it is no text.
    """
    name = pair.engine_args.get(SERVED_NAME)
    if name is not None and (not isinstance(name, str) or not name):
        raise EngineError(f"The engine argument {SERVED_NAME} is {name!r}.", "Give the name of one served model.")
    return name


async def served_model(client: ServerClient, wanted: str, name: str | None = None) -> ServedModel:
    """The model to ask: that of this name, else the only one, or the one whose name or origin is ``wanted``.

    Raises:
        EngineError: none, several without that one, or no such page.
    """
    body = await client.get(MODELS_PATH)
    try:
        cards = msgspec.json.decode(body, type=_Cards).data
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(
            f"The {MODELS_PATH} of the server at {client.url} cannot be read: {error}.",
            "Check that the endpoint is the server's root URL.",
        ) from error
    named = [card for card in cards if wanted in (card.id, card.root)]
    base = [card for card in cards if card.parent is None]
    choice = (named or base)[:1] if named or len(base) == 1 else []
    if name is not None:
        choice = [card for card in cards if card.id == name]
    if not choice:
        listed = ", ".join(card.id for card in cards) or "none"
        raise EngineError(
            f"The server at {client.url} does not serve {name or wanted!r}; its models: {listed}.",
            f"Say which of them is asked with the engine argument {SERVED_NAME}, or start the server with this model.",
        )
    card = choice[0]
    meta = card.meta or _Meta()
    alike = (other.id for other in cards if card.root is not None and other.root == card.root)
    return ServedModel(
        card.id,
        card.max_model_len or meta.n_ctx,
        meta.n_vocab,
        card.root,
        card.owned_by,
        card.parent,
        tuple(dict.fromkeys(name for name in (card.id, card.parent, *alike) if name is not None)),
    )


def check_draft_length(served: int | None, wanted: int | None) -> None:
    """The server speculates as the pair says. Both are draft lengths, or ``None`` for no speculation.

    Raises:
        EngineError: it does not.
    """
    if served == wanted:
        return
    found = "without a drafter" if served is None else f"with a draft length of {served}"
    asked = "no drafter" if wanted is None else f"a draft length of {wanted}"
    raise EngineError(
        f"The server decodes {found}, and the pair has {asked}.",
        "Correct the pair, or start the server with the drafter that is to be measured.",
    )


def vocabulary_size(checkpoint: Checkpoint) -> int:
    """The target's vocabulary size.

    Raises:
        EngineError: its config does not say.
    """
    size = checkpoint.size("vocab_size")
    if size is None:
        raise EngineError(f"The config.json of {checkpoint.reference!r} gives no vocab_size.", "Add it.")
    return size
