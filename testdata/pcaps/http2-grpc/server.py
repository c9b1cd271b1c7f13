"""A gRPC server of every kind of call, whose messages are bytes to it."""
import time
from concurrent import futures

import grpc

DETAILS = b"\x08\x05\x12\x07no fish"


def echo(request, context):
    return request


def pack(request, context):
    context.set_compression(grpc.Compression.Gzip)
    return request


def late(request, context):
    time.sleep(1)
    return request


def find(request, context):
    context.set_trailing_metadata((("grpc-status-details-bin", DETAILS), ("searched", "two seas")))
    context.abort(grpc.StatusCode.NOT_FOUND, "no fish „Zoë“ in 100 %")


def count(request, context):
    context.send_initial_metadata((("counts", "three"),))
    for _ in range(3):
        yield request


def tire(request, context):
    yield request
    yield request
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "tired")


def join(requests, context):
    return b"".join(requests)


def talk(requests, context):
    yield from requests


server = grpc.server(futures.ThreadPoolExecutor(8))
methods = {method.__name__.title(): grpc.unary_unary_rpc_method_handler(method) for method in [echo, pack, late, find]}
methods |= {method.__name__.title(): grpc.unary_stream_rpc_method_handler(method) for method in [count, tire]}
methods |= {"Join": grpc.stream_unary_rpc_method_handler(join), "Talk": grpc.stream_stream_rpc_method_handler(talk)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("sea.Fish", methods)])
assert server.add_insecure_port("127.0.0.1:18093")
server.start()
server.wait_for_termination()
