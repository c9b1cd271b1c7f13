"""Publishes to RabbitMQ, takes the messages back in every way there is, and logs what became of each."""
import hashlib
import json
import os
import socket

import pika
from pika.exceptions import ChannelClosedByBroker, ProbableAccessDeniedError, UnroutableError

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
PORT = 15673


def log(**row):
    print(json.dumps(dict(table="amqp", **row)), file=LOG, flush=True)


def connect(**options):
    # Small frames, so that bodies need several.
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT, frame_max=4096, **options))


def body(size):
    return (b"remora holds on " * (size // 16 + 1))[:size]


def publish(channel, exchange, key, size, settled_by, mandatory=False):
    properties = pika.BasicProperties("text/plain", headers={"size": size, "tags": ["a", None, True]}, message_id=key)
    row = dict(exchange=exchange, routing_key=key, body_bytes=size)
    try:
        channel.basic_publish(exchange, key, body(size), properties, mandatory)
    except UnroutableError as refused:
        log(method="return", **row, reply_text=refused.messages[0].method.reply_text)
    log(method="publish", **row, settled_by=settled_by, body_sha256=hashlib.sha256(body(size)).hexdigest())


def confirms_and_settlements(channel):
    channel.exchange_declare("offers", "topic", auto_delete=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "offers", "fish.*")
    channel.confirm_delivery()
    for number, size in enumerate([0, 1, 4088, 10000, 30, 30]):
        publish(channel, "offers", f"fish.{number}", size, "ack")
    publish(channel, "offers", "bird.0", 5, "ack", mandatory=True)
    settled = ["ack", "ack", "nack", "reject", None, None]
    taken = channel.consume(queue, inactivity_timeout=10)
    for settled_by in settled:
        method, _, got = next(taken)
        if method.delivery_tag == 2:
            channel.basic_ack(2, multiple=True)
        elif settled_by == "nack":
            channel.basic_nack(method.delivery_tag, requeue=False)
        elif settled_by == "reject":
            channel.basic_reject(method.delivery_tag, requeue=False)
        row = dict(method="deliver", queue=queue, delivery_tag=method.delivery_tag, routing_key=method.routing_key)
        log(**row, body_bytes=len(got), settled_by=settled_by)
    channel.close()


def transactions(channel):
    channel.tx_select()
    channel.queue_declare("held", auto_delete=True)
    publish(channel, "", "held", 7, "commit")
    channel.tx_commit()
    publish(channel, "", "held", 8, "rollback")
    channel.tx_rollback()
    method, _, got = channel.basic_get("held", auto_ack=True)
    log(method="get-ok", queue="held", delivery_tag=method.delivery_tag, body_bytes=len(got), settled_by=None)
    assert channel.basic_get("held", auto_ack=True)[0] is None
    log(method="get-empty", queue="held")
    channel.queue_delete("held")
    channel.close()


def refusals(connection):
    try:
        connection.channel().queue_declare("nowhere", passive=True)
    except ChannelClosedByBroker as refused:
        log(method="declare", queue="nowhere", reply_code=refused.reply_code, reply_text=refused.reply_text)
    connection.close()
    try:
        connect(virtual_host="nowhere")
    except ProbableAccessDeniedError as refused:
        assert "(530)" in str(refused), refused
        log(method="open", reply_code=530)
    with socket.create_connection(("127.0.0.1", PORT)) as other:
        other.sendall(b"AMQP\0\1\0\0")
        assert other.recv(8) == b"AMQP\0\0\x09\x01", "the broker names the version it speaks"


# What opens and closes channels, and names queues, pika does not tell.
log(only="method in ('publish', 'return', 'deliver', 'get-ok', 'get-empty') or method in ('declare', 'open') and reply_code is not null")

connection = connect()
confirms_and_settlements(connection.channel())
transactions(connection.channel())
refusals(connection)
