"""What a server says of itself, and whether it decodes as the pair says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.engines.sglang.arguments import ALGORITHMS
from pytest_speedbench.engines.sglang.record import DraftShape, draft_shape
from pytest_speedbench.errors import EngineError

INFO_PATH = "/server_info"
# SGLang runs several of its names by the same code, and then gives only one of them.
_ALSO = {DrafterMethod.MTP: ("EAGLE", "FROZEN_KV_MTP"), DrafterMethod.EAGLE: ("FROZEN_KV_MTP",)}
_START_IT_SO = "Correct the pair, or start the server with the drafter that is to be measured."


async def server_info(client: ServerClient) -> Mapping[str, Any]:
    """All arguments of the server as it resolved them, its version, and the states of its data-parallel ranks.

    Raises:
        EngineError: it is no SGLang server.
    """
    body = await client.get(INFO_PATH)
    try:
        info: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _no_sglang(client, str(error)) from error
    if missing := {"version", "device", "tp_size", "speculative_algorithm"} - info.keys():
        raise _no_sglang(client, f"it has no {min(missing)}")
    return info


def served_shape(info: Mapping[str, Any], drafter: Drafter | None) -> DraftShape | None:
    """How the server drafts, which must be as the pair says.

    Raises:
        EngineError: it does not say, or has another drafter, another draft length, or none where the pair has one.
    """
    algorithm = info.get("speculative_algorithm")
    try:
        shape = draft_shape(info)
    except (KeyError, ValueError) as error:
        words = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise EngineError(
            f"The server's arguments do not say how it drafts with {algorithm}: {words}.",
            "Use an SGLang server of a supported version.",
        ) from error
    if drafter is None and shape is None:
        return None
    if drafter is None or shape is None:
        found = "without a drafter" if shape is None else f"with {algorithm}"
        raise EngineError(f"The server decodes {found}, and the pair has {drafter or 'no drafter'}.", _START_IT_SO)
    known = ALGORITHMS.get(drafter.method)
    if algorithm not in (known, *_ALSO.get(drafter.method, ())):
        raise EngineError(f"The server drafts with {algorithm}, and the pair has the drafter {drafter}.", _START_IT_SO)
    if shape.draft_length != drafter.draft_length:
        raise EngineError(
            f"The server decodes with a draft length of {shape.draft_length}, and the pair has a draft length of "
            f"{drafter.draft_length}.",
            _START_IT_SO,
        )
    return shape


def _no_sglang(client: ServerClient, words: str) -> EngineError:
    return EngineError(
        f"The {INFO_PATH} of the server at {client.url} cannot be read: {words}.",
        "Check that the endpoint is an SGLang server of a supported version.",
    )
