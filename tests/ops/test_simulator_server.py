"""The simulator on loopback: faults as a client of TCP and HTTP meets them."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import trio
import trustme
from openai.types.chat import ChatCompletionMessageParam

from sluice.ops.simulator import Options, Simulator, open_simulator

MESSAGES = [{"role": "user", "content": "Hello."}]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    with trio.fail_after(30):
        async with open_simulator(seed=1, options=Options(chunks=6)) as running:
            yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulator.url, timeout=20) as made:
        yield made


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": True} | more


async def read(client: httpx2.AsyncClient, model: str, **more: Any) -> tuple[bytes, str]:
    """What came, and the name of the exception that ended it (or nothing)."""
    got = b""
    try:
        path = "/v1/chat/completions"
        async with client.stream("POST", path, json=body(model, **more)) as response:
            async for data in response.aiter_raw():
                got += data
    except httpx2.TransportError as error:
        return got, type(error).__name__
    return got, ""


async def asking(simulator: Simulator, model: str) -> trio.SocketStream:
    """A connection on which a request was sent, for what is to be seen below HTTP."""
    data = json.dumps(body(model)).encode()
    stream = await trio.open_tcp_stream("127.0.0.1", simulator.port)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    await stream.send_all(head % len(data) + data)
    return stream


async def until(stream: trio.SocketStream, got: bytes, wanted: bytes, times: int) -> bytes:
    """``got`` and what else came, as soon as ``wanted`` is in it so many ``times``."""
    while got.count(wanted) < times:
        data = await stream.receive_some()
        assert data, "the stream has ended"
        got += data
    return got


async def test_a_stream_is_whole(client: httpx2.AsyncClient) -> None:
    got, error = await read(client, "sim-ok")
    assert error == ""
    assert got.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("sim-cut", "RemoteProtocolError"),
        ("sim-cut-inside", "RemoteProtocolError"),
        ("sim-cut-reset", "ReadError"),
    ],
)
async def test_a_broken_stream_breaks_after_some_bytes(
    client: httpx2.AsyncClient, model: str, error: str, stream: bool
) -> None:
    got, met = await read(client, model, stream=stream)
    assert met == error
    assert got
    assert b"[DONE]" not in got


@pytest.mark.parametrize(
    ("model", "error"), [("sim-refuse", "RemoteProtocolError"), ("sim-reset", "ReadError")]
)
async def test_some_models_close_without_an_answer(
    client: httpx2.AsyncClient, model: str, error: str
) -> None:
    assert await read(client, model) == (b"", error)


async def test_a_refusal_is_an_end_of_the_connection(simulator: Simulator) -> None:
    async with await asking(simulator, "sim-refuse") as stream:
        assert await stream.receive_some() == b""


async def test_a_reset_is_a_reset_of_tcp(simulator: Simulator) -> None:
    async with await asking(simulator, "sim-reset") as stream:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.receive_some()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("model", ["sim-silent", "sim-stall", "sim-ok?delay=60", "sim-ok?hold=2"])
async def test_a_client_that_leaves_is_seen_at_once(
    simulator: Simulator, client: httpx2.AsyncClient, model: str
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, client, model)
        await simulator.wait(lambda seen: seen.open == 1)
        nursery.cancel_scope.cancel()
    seen = await simulator.wait(lambda seen: seen.open == 0)
    assert (seen.disconnects, seen.completed) == (1, 0)
    await simulator.wait(lambda seen: seen.connections == 0)


async def test_a_client_that_does_not_read_is_seen_to_leave(simulator: Simulator) -> None:
    async with await asking(simulator, "sim-huge-frame") as stream:
        await stream.receive_some(1)
        assert simulator.statistics.open == 1
    assert (await simulator.wait(lambda seen: seen.open == 0)).disconnects == 1


async def test_a_held_stream_goes_on_when_it_is_released(
    simulator: Simulator, client: httpx2.AsyncClient
) -> None:
    async with await asking(simulator, "sim-ok?hold=2") as stream:
        got = await until(stream, b"", b"}\n\n", 3)
        await simulator.wait(lambda seen: seen.held == 1)
        assert got.count(b"}\n\n") == 3
        assert (await client.post("/sim/release")).json() == {"released": 1}
        await until(stream, got, b"data: [DONE]\n\n", 1)


async def test_a_trickled_stream_is_the_same_stream(client: httpx2.AsyncClient) -> None:
    got, error = await read(client, "sim-trickle?chunks=2")
    assert error == ""
    assert got.count(b"\n\n") == 5


async def test_delays_are_the_seconds_asked_for(
    client: httpx2.AsyncClient, simulator: Simulator
) -> None:
    began = trio.current_time()
    await read(client, "sim-ok?chunks=3&delay=0.02&first_delay=0.03&head_delay=0.01")
    assert trio.current_time() - began >= 0.08
    assert simulator.statistics.completed == 1


async def test_signs_of_life_come_from_a_stream_that_stalls(simulator: Simulator) -> None:
    async with await asking(simulator, "sim-stall?pings=0.01") as stream:
        await until(stream, b"", b": PROCESSING\n\n", 3)


async def test_requests_are_kept_as_they_came(
    simulator: Simulator, client: httpx2.AsyncClient
) -> None:
    headers = {"X-Whose": "mine", "authorization": "Bearer key"}
    path = "/v1/chat/completions"
    await client.post(path, json=body("sim-ok"), headers=headers)
    await client.post(path, json=body("sim-ok"))
    first, second = simulator.requests
    assert dict(first.headers)["x-whose"] == "mine"
    assert "authorization" not in dict(second.headers)
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.method, first.path, first.model) == ("POST", path, "sim-ok")
    assert '"Hello."' in first.body
    told = (await client.get("/sim/requests")).json()
    assert [request["attempt"] for request in told] == [1, 2]


async def test_statistics_count_by_model(simulator: Simulator, client: httpx2.AsyncClient) -> None:
    for model in ("sim-ok", "sim-ok", "sim-503", "unknown"):
        await read(client, model)
    told = (await client.get("/sim/statistics")).json()
    assert told["by_model"] == {"sim-ok": 2, "sim-503": 1}
    assert (told["requests"], told["retries"], told["open"]) == (4, 1, 0)
    assert told["connections"] == 1


async def test_only_so_many_requests_are_kept() -> None:
    with trio.fail_after(30):
        async with (
            open_simulator(seed=1, keep=0) as simulator,
            httpx2.AsyncClient(base_url=simulator.url) as client,
        ):
            await read(client, "sim-ok")
            assert simulator.requests == []
            assert simulator.statistics.requests == 1


async def test_models_are_listed_in_the_shape_asked_for(client: httpx2.AsyncClient) -> None:
    ours = (await client.get("/v1/models")).json()
    theirs = (await client.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()
    assert ours["object"] == "list"
    assert "sim-ok" in [model["id"] for model in ours["data"]]
    assert theirs["has_more"] is False
    assert [model["id"] for model in theirs["data"]] == [model["id"] for model in ours["data"]]


async def test_another_route_is_unknown(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/v1/chat/completions")).status_code == 404
    assert (await client.post("/v1/embeddings")).status_code == 404


@pytest.mark.parametrize("path", ["/v1/messages", "/v2/chat"])
async def test_the_other_formats_have_their_routes(client: httpx2.AsyncClient, path: str) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    request = body("sim-ok", max_tokens=10)
    response = await client.post(path, json=request, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith("event: message")


async def test_the_official_client_streams_and_gets_whole_answers(simulator: Simulator) -> None:
    await trio.to_thread.run_sync(use_official_client, simulator.base_url)


def use_official_client(base_url: str) -> None:
    """In a thread: under trio, the asynchronous client leaves generators unfinished."""
    hello: ChatCompletionMessageParam = {"role": "user", "content": "Hi."}
    with openai.OpenAI(base_url=base_url, api_key="key", max_retries=0) as sdk:
        create = sdk.chat.completions.create
        with create(model="sim-ok?same=1", messages=[hello], stream=True) as stream:
            told = "".join([chunk.choices[0].delta.content or "" for chunk in stream])
        whole = create(model="sim-ok?same=1", messages=[hello])
        assert whole.choices[0].message.content == told
        with pytest.raises(openai.RateLimitError, match="Rate limit reached"):
            create(model="sim-429", messages=[hello])
        with (
            pytest.raises(openai.APIError, match="had an error"),
            create(model="sim-error-in-stream", messages=[hello], stream=True) as stream,
        ):
            list(stream)


async def test_a_page_and_a_redirect_are_no_completions(client: httpx2.AsyncClient) -> None:
    path = "/v1/chat/completions"
    page = await client.post(path, json=body("sim-html"))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    redirect = await client.post(path, json=body("sim-redirect"))
    assert redirect.status_code == 307
    assert redirect.headers["location"].endswith("/elsewhere")


async def test_faults_are_the_same_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    chain, key = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with trio.fail_after(30):
        async with (
            open_simulator(seed=1, certificate=(chain, key)) as simulator,
            httpx2.AsyncClient(base_url=simulator.url, verify=context) as client,
        ):
            assert (await read(client, "sim-ok"))[1] == ""
            got, error = await read(client, "sim-cut")
            assert got
            assert error
            got, error = await read(client, "sim-reset")
            assert (got, error) == (b"", "ReadError")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, client, "sim-stall")
                await simulator.wait(lambda seen: seen.open == 1)
                nursery.cancel_scope.cancel()
            assert (await simulator.wait(lambda seen: seen.open == 0)).disconnects == 1


async def test_its_port_is_free_again_when_it_is_closed() -> None:
    with trio.fail_after(30):
        async with open_simulator(seed=1) as simulator:
            assert str(simulator.port) in repr(simulator)
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.1", simulator.port))
