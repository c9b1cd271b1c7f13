"""Asks Redis over RESP2 and RESP3, waiting and not, and logs what it asked and what it got."""
import base64
import hashlib
import json
import os
import re
import time

import redis
from redis._parsers.base import BaseParser

# Without classes for errors redis-py leaves their texts as they are.
BaseParser.EXCEPTION_CLASSES = {}

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
PORT = 16379
PASSWORD = "swordfish"
HIDDEN = "(redacted)"
LONG = object()
# Of one message, as far as rows hold it.
KEPT_BYTES = 256 << 10


def log(**row):
    print(json.dumps(dict(table="redis", **row)), file=LOG, flush=True)


def plain(value):
    """A value as the `reply` column has it."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"$binary": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {plain(name): plain(held) for name, held in value.items()}
    if isinstance(value, list):
        return [plain(held) for held in value]
    if isinstance(value, redis.ResponseError):
        return {"$error": str(value)}
    return value


def replied(value):
    """As the log has it: text of JSON, unless it is several values."""
    value = plain(value)
    return value if isinstance(value, (dict, list)) else json.dumps(value, ensure_ascii=False)


def argument(word):
    """An argument as the `args` column has it."""
    text = (word if isinstance(word, bytes) else str(word).encode()).decode(errors="backslashreplace")
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", lambda control: f"\\x{ord(control[0]):02x}", text)


class Client:
    """One connection, that sends what it is told and nothing else."""

    def __init__(self, protocol=2):
        self.protocol, self.db = protocol, 0
        self.connection = redis.Connection(
            "127.0.0.1", PORT, protocol=protocol, lib_name=None, lib_version=None, socket_timeout=10
        )
        self.connection.connect()
        if protocol == 3:
            greeting = self.connection.handshake_metadata
            log(command="HELLO", args=["3"], reply_type="map", reply=plain(greeting), resp_version=3, db=0)

    def said(self, *words, shown=None, **row):
        """Logs a command. `shown` are its arguments where they are not all to be seen."""
        size = len(b"".join(self.connection.pack_command(*words)))
        command, *args = words[0].split() + list(words[1:])
        if command in ("ACL", "CLIENT", "CONFIG", "DEBUG"):
            command += " " + args.pop(0)
        if shown is not LONG:
            row["args"] = shown or [argument(word) for word in args]
        log(command=command, request_bytes=size, is_push=False, db=self.db, resp_version=self.protocol, **row)

    def send(self, *words):
        self.connection.send_command(*words)

    def get(self, kind, *words, begun=None, unlike=None, hashed=None, **row):
        """Reads the reply to a command that was sent, and logs both.

        `unlike` is what is to be seen instead of it; `hashed` too, where it is too long for the log.
        """
        try:
            value = self.connection.read_response(disable_decoding=True)
        except redis.ResponseError as error:
            value = error
        if begun is not None:
            row["latency_ms"] = (time.perf_counter() - begun) * 1000
        if isinstance(value, Exception):
            self.said(*words, reply_type=kind, reply=None, error=str(value), **row)
        elif hashed is not None:
            text = json.dumps(hashed, separators=(",", ":"))
            self.said(*words, reply_type=kind, reply_sha256=hashlib.sha256(text.encode()).hexdigest(), **row)
        elif unlike is not None:
            self.said(*words, reply_type=kind, reply=unlike, error=None, **row)
        else:
            self.said(*words, reply_type=kind, reply=replied(value), error=None, **row)
        return value

    def ask(self, kind, *words, **row):
        self.send(*words)
        return self.get(kind, *words, **row)

    def unanswered(self, *words):
        self.send(*words)
        self.said(*words, reply_type=None, reply=None, error=None)

    def read_push(self):
        as_push = dict(push_request=True) if self.protocol == 3 else {}
        return plain(self.connection.read_response(disable_decoding=True, **as_push))

    def pushed(self, *values, kind="push"):
        """Reads what answers nothing."""
        got = self.read_push()
        assert got == list(values), got
        key = values[1] if isinstance(values[1], str) else None
        log(command=values[0].upper(), key=key, is_push=True, reply_type=kind, reply=list(values))


def strings(client):
    client.ask("simple_string", "SET", "greeting", "hello", key="greeting")
    client.ask("bulk_string", "GET", "greeting", key="greeting")
    client.ask("null", "GET", "nothing")
    client.ask("simple_string", "SET", "empty", "")
    client.ask("bulk_string", "GET", "empty")
    client.ask("array", "LRANGE", "nothing", 0, -1)
    client.ask("simple_string", "SET", b"\x00\xffkey", b"\xff\xfe\r\n\x00", key="\\x00\\xffkey")
    client.ask("bulk_string", "GET", b"\x00\xffkey")
    client.ask("simple_string", "SET", "wörd", "naïve \\x41", shown=["wörd", "naïve \\x5cx41"])
    client.ask("array", "MGET", "greeting", "nothing", "empty")
    client.ask("integer", "INCRBY", "count", 41)
    client.ask("error", "LPUSH", "greeting", "x", key="greeting")
    client.ask("error", "SHOUT", "loud")
    client.ask("error", "GET")


def pipeline(client):
    """All is sent before anything is read."""
    calls = [
        ("simple_string", "SET", "a", 1),
        ("integer", "INCR", "a"),
        ("error", "HGET", "a", "x"),
        ("null", "GET", "b"),
    ]
    client.connection.send_packed_command(client.connection.pack_commands([call[1:] for call in calls]))
    for call in calls:
        client.get(*call)


def transactions(client):
    """As redis-py makes them: MULTI to EXEC in one write."""
    calls = [("SET", "a", 5), ("INCR", "a"), ("LPOP", "a"), ("GET", "a")]
    commands = [("MULTI",), *calls, ("EXEC",)]
    client.connection.send_packed_command(client.connection.pack_commands(commands))
    client.get("simple_string", "MULTI")
    for call in calls:
        client.get("simple_string", *call)
    client.get("array", "EXEC")
    client.ask("simple_string", "MULTI")
    client.ask("simple_string", "SET", "a", 6)
    client.ask("simple_string", "DISCARD")
    client.ask("simple_string", "MULTI")
    client.ask("error", "SET", "a")
    client.ask("error", "EXEC")
    client.ask("simple_string", "WATCH", "a")
    other = Client()
    other.ask("simple_string", "SET", "a", 7)
    client.ask("simple_string", "MULTI")
    client.ask("simple_string", "GET", "a")
    client.ask("null", "EXEC")


def databases(client):
    client.ask("simple_string", "SELECT", 3)
    client.db = 3
    client.ask("null", "GET", "greeting")
    client.ask("error", "SELECT", 99)
    client.ask("simple_string", "SET", "greeting", "three")
    client.ask("simple_string", "SELECT", 0)
    client.db = 0
    client.ask("bulk_string", "GET", "greeting")


def blocking(protocol):
    waits, gives = Client(protocol), Client()
    begun = time.perf_counter()
    waits.send("BLPOP", "jobs", "other", 10)
    time.sleep(0.05)
    gives.ask("integer", "RPUSH", "jobs", "first", "second")
    waits.get("array", "BLPOP", "jobs", "other", 10, begun=begun, key="jobs")
    waits.ask("array", "BLMPOP", 0, 1, "jobs", "LEFT", key="jobs")
    waits.ask("null", "BRPOP", "jobs", 0.05, key="jobs")


def subscriptions(protocol):
    hears, speaks = Client(protocol), Client()
    kind = "push" if protocol == 3 else "array"
    hears.unanswered("SUBSCRIBE", "news", "gossip")
    hears.pushed("subscribe", "news", 1, kind=kind)
    hears.pushed("subscribe", "gossip", 2, kind=kind)
    hears.unanswered("PSUBSCRIBE", "n*")
    hears.pushed("psubscribe", "n*", 3, kind=kind)
    speaks.ask("integer", "PUBLISH", "news", "rain", key="news")
    hears.pushed("message", "news", "rain", kind=kind)
    hears.pushed("pmessage", "n*", "news", "rain", kind=kind)
    if protocol == 3:
        hears.ask("simple_string", "PING")
    else:
        hears.ask("array", "PING")
        hears.ask("error", "GET", "greeting")
    hears.unanswered("UNSUBSCRIBE")
    # In the order of a hash table.
    for left in (2, 1):
        got = hears.read_push()
        assert got[0] == "unsubscribe" and got[2] == left, got
        log(command="UNSUBSCRIBE", key=got[1], is_push=True, reply_type=kind, reply=got)
    hears.unanswered("PUNSUBSCRIBE", "n*")
    hears.pushed("punsubscribe", "n*", 0, kind=kind)
    hears.ask("simple_string", "PING")


def types_of_resp3(client):
    """What RESP2 has no types for."""
    client.ask("integer", "HSET", "user", "name", "Ada", "age", 36)
    client.ask("map", "HGETALL", "user")
    client.ask("integer", "SADD", "tags", "only")
    client.ask("set", "SMEMBERS", "tags")
    client.ask("integer", "ZADD", "ranks", 1.5, "ada")
    client.ask("double", "ZSCORE", "ranks", "ada")
    client.ask("array", "ZRANGE", "ranks", 0, -1, "WITHSCORES")
    client.ask("array", "HMGET", "user", "name", "none")
    for kind, script in [
        ("boolean", "redis.setresp(3) return true"),
        ("null", "redis.setresp(3) return nil"),
        ("map", "return {map={a=1}}"),
        ("array", "return {1,{2,{3,{}}},false}"),
    ]:
        client.ask(kind, "EVAL", script, 0, key=None)
    client.ask("bulk_string", "EVAL", "return redis.call('GET', KEYS[1])", 1, "greeting", "more", key="greeting")


def invalidations():
    caches, writes = Client(3), Client(3)
    caches.connection._parser.set_invalidation_push_handler(lambda push: push)
    caches.ask("simple_string", "CLIENT TRACKING", "ON")
    caches.ask("bulk_string", "GET", "greeting")
    writes.ask("simple_string", "SET", "greeting", "bye")
    caches.pushed("invalidate", ["greeting"])
    caches.ask("bulk_string", "GET", "greeting")


def silence(client):
    client.unanswered("CLIENT REPLY", "SKIP")
    client.unanswered("SET", "quiet", 1)
    client.ask("bulk_string", "GET", "quiet")
    client.unanswered("CLIENT REPLY", "OFF")
    client.unanswered("INCR", "quiet")
    client.unanswered("SHOUT", "quiet")
    client.ask("simple_string", "CLIENT REPLY", "ON")
    client.ask("bulk_string", "GET", "quiet")


def secrets(client):
    """The rows hold none of them."""
    rules, pair = ["ada", "on", HIDDEN, "+@all", "~*"], [HIDDEN] * 2
    client.ask("simple_string", "ACL SETUSER", "ada", "on", ">" + PASSWORD, "+@all", "~*", shown=rules)
    client.ask("error", "AUTH", "ada", "wrong", shown=pair)
    client.ask("simple_string", "AUTH", "ada", PASSWORD, shown=pair)
    client.ask("simple_string", "CONFIG SET", "masterauth", PASSWORD, shown=["masterauth", HIDDEN])
    client.ask("array", "CONFIG GET", "masterauth", unlike=["masterauth", HIDDEN])
    # From here on RESP3, which this connection's parser does not read.
    client.send("HELLO", 3, "AUTH", "ada", PASSWORD)
    reply = client.connection._sock.recv(4096)
    assert reply.startswith(b"%7\r\n"), reply
    client.protocol, shown = 3, ["3", "AUTH", *pair]
    client.said("HELLO", 3, "AUTH", "ada", PASSWORD, shown=shown, reply_type="map", reply_bytes=len(reply))


def big_values(client):
    """A value of many segments, and one that is longer than what is kept."""
    whole, longer = "remora holds on " * 6000, "remora lets go. " * 20000
    client.ask("simple_string", "SET", "whole", whole, shown=LONG, key="whole")
    client.ask("bulk_string", "GET", "whole", hashed=whole)
    client.ask("simple_string", "SET", "longer", longer, shown=LONG, key="longer")
    client.ask("bulk_string", "GET", "longer", hashed={"$cut": longer[:KEPT_BYTES], "bytes": len(longer)})
    client.ask("integer", "STRLEN", "longer")


def lines():
    """Inline commands, as typed in a terminal; the first command of the connection is none."""
    client = Client()
    client.ask("simple_string", "PING")
    type_line(client, b"set \"a key\" 'it\\'s'\r\n", b"+OK\r\n", command="SET", args=["a key", "it's"], reply='"OK"')
    type_line(client, b"\r\nget \"a\\x20key\"\n", b"$4\r\nit's\r\n", command="GET", args=["a key"], reply='"it\'s"')


def type_line(client, line, answer, **row):
    client.connection._sock.sendall(line)
    got = client.connection._sock.recv(4096)
    assert got == answer, got
    log(**row, key="a key", reply_bytes=len(answer), resp_version=2, db=0)


def given_up():
    """Nobody waits for the answer."""
    client = Client()
    client.send("BLPOP", "never", 0)
    client.said("BLPOP", "never", 0, reply_type=None, reply=None, pair="request_only")
    time.sleep(0.05)
    client.connection.disconnect()


for version in (2, 3):
    main = Client(version)
    main.ask("simple_string", "FLUSHALL")
    strings(main)
    pipeline(main)
    transactions(main)
    databases(main)
    silence(main)
    blocking(version)
    subscriptions(version)
types_of_resp3(main)
big_values(main)
invalidations()
secrets(Client())
lines()
given_up()
