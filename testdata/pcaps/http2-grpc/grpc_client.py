"""Makes gRPC calls of every kind and logs what grpcio says became of each."""
import hashlib
import json
import os
import time

import grpc

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
AUTHORITY = "127.0.0.1:18093"
# Of a call given up, the client does not know what of the answer was on its way.
GIVEN_UP = (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


def varint(number):
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def encode(message):
    """Protocol Buffers of texts and numbers."""
    out = b""
    for field, value in message.items():
        if isinstance(value, str):
            out += varint(int(field) << 3 | 2) + varint(len(value.encode())) + value.encode()
        else:
            out += varint(int(field) << 3) + varint(value)
    return out


def as_logged(column, messages):
    """One as an object, several as an array of them, long ones hashed."""
    held = messages[0] if len(messages) == 1 else messages
    text = json.dumps(held, separators=(",", ":"))
    return {column: held} if len(text) < 1000 else {f"{column}_sha256": hashlib.sha256(text.encode()).hexdigest()}


def log(method, call, sent, got, packed=False, **row):
    status = call.code()
    size = sum(len(encode(message)) for message in sent)
    row |= dict(service="sea.Fish", method=method, authority=AUTHORITY, request_messages=len(sent))
    if sent:
        row |= as_logged("request", sent)
    if not packed:
        row["request_bytes"] = size
    if status not in GIVEN_UP:
        row |= dict(grpc_status=status.value[0], grpc_message=call.details(), response_messages=len(got))
        if got:
            row |= as_logged("response", got)
        if not packed:
            row["response_bytes"] = sum(len(encode(message)) for message in got)
    print(json.dumps(dict(table="grpc", **row)), file=LOG, flush=True)
    http = dict(version="2", method="POST", scheme="http", host=AUTHORITY, path=f"/sea.Fish/{method}")
    if method != "Late":
        http["status"] = 200
    print(json.dumps(dict(table="http", **http)), file=LOG, flush=True)


def unary(channel, method, message, **options):
    """Starts a call; what is returned waits for it and logs it."""
    call = channel.unary_unary(f"/sea.Fish/{method}").future(encode(message), **options)

    def finish(**row):
        got = [message] if call.exception() is None else []
        assert not got or call.result() == encode(message)
        log(method, call, [message], got, **row)

    return finish


def streamed(method, call, sent, answers):
    got = []
    try:
        for answer in call:
            assert answer == encode(answers[len(got)])
            got.append(answers[len(got)])
    except grpc.RpcError:
        pass
    log(method, call, sent, got)


def unary_calls(channel):
    unary(channel, "Echo", {"1": "hello, fish", "2": 150}, metadata=[("sea", "north"), ("key-bin", b"\0\xff")])()
    unary(channel, "Echo", {})()
    unary(channel, "Echo", {"1": "remora holds on " * 2500})()
    unary(channel, "Pack", {"1": "remora holds on " * 300}, compression=grpc.Compression.Gzip)(packed=True, encoding="gzip")
    unary(channel, "Find", {"1": "Zoë"})()
    unary(channel, "Swim", {"2": 1})()
    unary(channel, "Late", {"2": 2}, timeout=0.2)()
    at_once = [unary(channel, "Echo", {"2": number}) for number in range(5)]
    for finish in at_once:
        finish()


def streams(channel):
    fish = [{"1": "cod", "2": 1}, {"1": "eel", "2": 2}, {"1": "ray"}]
    streamed("Count", channel.unary_stream("/sea.Fish/Count")(encode(fish[0])), fish[:1], fish[:1] * 3)
    streamed("Tire", channel.unary_stream("/sea.Fish/Tire")(encode(fish[1])), fish[1:2], fish[1:2] * 2)
    # Messages of the same fields, one after the other, are one whose later fields count.
    for sent in [fish[:1], []]:
        requests = iter([encode(message) for message in sent])
        answer, call = channel.stream_unary("/sea.Fish/Join").with_call(requests)
        assert answer == encode(sent[0] if sent else {})
        log("Join", call, sent, sent or [{}])
    requests = iter([encode(message) for message in fish])
    streamed("Talk", channel.stream_stream("/sea.Fish/Talk")(requests), fish, fish)
    give_up(channel, fish[0])


def give_up(channel, message):
    """Takes one answer and cancels, while the request is still open."""

    def requests():
        yield encode(message)
        time.sleep(1)

    call = channel.stream_stream("/sea.Fish/Talk")(requests())
    assert next(call) == encode(message)
    call.cancel()
    log("Talk", call, [message], [message])


with grpc.insecure_channel(AUTHORITY) as channel:
    unary_calls(channel)
    streams(channel)
