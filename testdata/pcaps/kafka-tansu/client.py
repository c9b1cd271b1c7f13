"""Produces to Tansu and fetches with librdkafka, and logs its requests as librdkafka noted them, and all records."""
import json
import os
import re

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
BROKER = "127.0.0.1:18096"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Who, to whom; what, its version, size and number.
NOTED = re.compile(
    r"\|(?:SEND|RECV)\|(([a-z-]+)#\S+ \S+ \S+): (Sent|Received) (\w+?)(?:Request|Response) \(v(\d+), (\d+) bytes.* CorrId (\d+)"
)
# Where librdkafka calls it otherwise than the protocol does.
NAMES = {"ApiVersion": "ApiVersions"}


def log(table, **row):
    print(json.dumps(dict(table=table, **row)), file=LOG, flush=True)


def options(name, **more):
    more = {name.replace("_", "."): value for name, value in more.items()}
    return {"bootstrap.servers": BROKER, "client.id": name, "debug": "protocol", **more}


def create(admin, *topics):
    """Creates topics and says why not where it cannot."""
    for future in admin.create_topics([NewTopic(name, partitions, 1) for name, partitions in topics]).values():
        try:
            future.result()
        except KafkaException as refused:
            print(refused)


def held(key, value, headers):
    """As rows have them; of a header without a value JSON has only the name."""
    headers = [dict(name=name) if value is None else dict(name=name, value=value.decode()) for name, value in headers]
    return dict(key=None if key is None else key.hex(), value=None if value is None else value.hex(), headers=headers)


def produce(producer, topic, records, **row):
    """Records of one batch and partition."""
    for key, value, headers in records:
        producer.produce(topic, value, key, partition=0, headers=headers, timestamp=1_700_000_000_123)
        where = dict(topic=topic, partition=0, offset=None)
        log("kafka_records", direction="produce", control=False, **where, **held(key, value, headers), **row)
    assert producer.flush(10) == 0


def fetch(consumer, topic, count, **row):
    """Takes so many records. Which of them shared a connection with the name of their topic is not logged."""
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    for _ in range(count):
        got = consumer.poll(10)
        assert got is not None and got.error() is None, got and got.error()
        where = dict(partition=got.partition(), offset=got.offset())
        log("kafka_records", direction="fetch", control=False, **where, **held(got.key(), got.value(), got.headers() or []), **row)
    consumer.unassign()


def in_every_codec():
    many = [(b"fish-%d" % number, b"remora holds on " * 10, []) for number in range(5)]
    for codec in CODECS:
        produce(Producer(options("produces", compression_type=codec, linger_ms=50)), codec, many, compression=codec)
    consumer = Consumer(options("fetches", group_id="none", enable_auto_commit=False))
    for codec in CODECS:
        fetch(consumer, codec, len(many), compression=codec)
    consumer.close()


def odd_records():
    records = [
        (None, b"no key", [("from", b"sea"), ("from", b"river"), ("nothing", None)]),
        (b"gone", None, []),
        (b"empty", b"", [("", b"")]),
        (b"\x00\xff", b"\xfe", []),
    ]
    producer = Producer(options("odd", linger_ms=50))
    produce(producer, "odd", records, compression="none", producer_id=None)
    consumer = Consumer(options("fetches-odd", group_id="none", enable_auto_commit=False))
    fetch(consumer, "odd", len(records), compression="none", producer_id=None)
    print(consumer.get_watermark_offsets(TopicPartition("odd", 0)))
    consumer.close()


def unconfirmed():
    producer = Producer(options("hurries", acks=0))
    produce(producer, "hurried", [(None, b"who knows", [])])
    consumer = Consumer(options("fetches-hurried", group_id="none", enable_auto_commit=False))
    fetch(consumer, "hurried", 1)
    consumer.close()


def transactions():
    producer = Producer(options("transacts", transactional_id="deal", linger_ms=50))
    producer.init_transactions(10)
    producer.begin_transaction()
    produce(producer, "deals", [(b"a", b"kept", []), (b"b", b"kept too", [])])
    producer.commit_transaction(10)
    producer.begin_transaction()
    produce(producer, "deals", [(b"c", b"taken back", [])])
    producer.abort_transaction(10)
    consumer = Consumer(options("fetches-all", group_id="none", enable_auto_commit=False, isolation_level="read_uncommitted"))
    fetch(consumer, "deals", 3)
    consumer.close()


def main():
    admin = AdminClient(options("creates"))
    create(admin, *[(codec, 1) for codec in CODECS], ("odd", 2), ("hurried", 1), ("deals", 1))
    create(admin, ("odd", 1))
    in_every_codec()
    odd_records()
    unconfirmed()
    transactions()
    for future in admin.delete_topics(["odd"]).values():
        future.result()


def requests(path):
    """Logs what librdkafka noted of each request and its response.

    To a request it counts the four bytes of its length, of a response not the four of its number.
    """
    waiting = {}
    for line in open(path):
        if not (noted := NOTED.search(line)):
            continue
        (connection, client, way, api), numbers = noted.groups()[:4], [int(number) for number in noted.groups()[4:]]
        version, size, correlation_id = numbers
        if way == "Sent":
            row = dict(client_id=client, api=NAMES.get(api, api), api_version=version, correlation_id=correlation_id)
            waiting[connection, correlation_id] = row | dict(request_bytes=size - 4)
        else:
            log("kafka", **waiting.pop((connection, correlation_id)), response_bytes=size + 4)
    for row in waiting.values():
        log("kafka", **row)


# Tansu answers what asked for no answer, and librdkafka looks away. Markers of transactions are not handed on either.
log("kafka", only="api is not null")
log("kafka_records", only="not control")
said = os.dup(2)
notes = os.open("notes", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
os.dup2(notes, 2)
try:
    main()
finally:
    os.dup2(said, 2)
requests("notes")
