"""Asks nginx and nghttpd over HTTP/2 with curl and httpx, and logs what each says it got."""
import asyncio
import hashlib
import json
import os
import subprocess

import httpx

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
NGINX, NGHTTPD = "127.0.0.1:18091", "127.0.0.1:18092"


def log(host, method, path, status, body):
    path, _, query = path.partition("?")
    row = dict(table="http", version="2", method=method, scheme="http", host=host, path=path, query=query or None)
    row |= dict(status=status, response_body_sha256=hashlib.sha256(body).hexdigest())
    print(json.dumps(row), file=LOG, flush=True)


def curl(host, method, path, *options):
    """Asks once: curl 7.88 cannot go on with a connection of which nobody but the user said that it is HTTP/2."""
    words = ["curl", "-s", "--http2-prior-knowledge", *options, "-o", "got", "-w", "%{http_code}"]
    said = subprocess.run([*words, f"http://{host}{path}"], check=True, capture_output=True).stdout
    body = b""
    if os.path.exists("got"):
        with open("got", "rb") as got:
            body = got.read()
        os.remove("got")
    log(host, method, path, int(said), b"" if method == "HEAD" else body)


async def one_by_one(host, requests):
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        for method, path, *options in requests:
            got = await client.request(method, f"http://{host}{path}", **dict(*options))
            log(host, method, path, got.status_code, got.content)


async def at_once(host, paths):
    async with httpx.AsyncClient(http1=False, http2=True, limits=httpx.Limits(max_connections=1)) as client:
        answers = await asyncio.gather(*(client.get(f"http://{host}{path}") for path in paths))
        for path, got in zip(paths, answers, strict=True):
            log(host, "GET", path, got.status_code, got.content)


curl(NGINX, "GET", "/?old=1")
curl(NGINX, "HEAD", "/", "-I")
curl(NGINX, "GET", "/big.txt", "--compressed")
curl(NGINX, "GET", "/index.html", "-r", "0-4")
curl(NGINX, "GET", "/", "-A", "x" * 5000, "-H", "Cookie: a=1; b=2", "-H", "Authorization: Basic eDp5")
curl(NGHTTPD, "GET", "/big.txt")
curl(NGHTTPD, "POST", "/back", "--data-binary", "@www/big.txt")
asyncio.run(
    one_by_one(
        NGINX,
        [
            ("GET", "/"),
            ("GET", "/missing"),
            ("GET", "/gone"),
            ("HEAD", "/big.txt"),
            ("POST", "/", {"data": {"name": "value"}}),
            ("GET", "/", {"headers": {"Cookie": "a=1; b=2"}}),
        ],
    )
)
asyncio.run(at_once(NGINX, [f"/big.txt?{number}" for number in range(4)]))
asyncio.run(one_by_one(NGHTTPD, [("GET", "/"), ("GET", "/missing"), ("POST", "/back", {"content": b"held"})]))
