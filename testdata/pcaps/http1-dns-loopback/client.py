"""Asks nginx with curl and dnsmasq with dig, and logs what each says it did."""
import hashlib
import json
import os
import subprocess

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
WEB = "http://127.0.0.1:18090"


def log(**row):
    print(json.dumps(row), file=LOG, flush=True)


def curl(*requests, options=()):
    """Asks on one connection."""
    words = ["curl", "-s", *options]
    for method, path in requests:
        words += ["-o", f"body{len(words)}", "-w", "%{http_code} %{filename_effective}\n", WEB + path]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    for (method, path), line in zip(requests, said, strict=True):
        status, body = line.split()
        path, _, query = path.partition("?")
        row = dict(table="http", method=method, path=path, query=query or None, version="1.0" if "-0" in options else "1.1", status=int(status))
        if method != "HEAD":
            held = open(body, "rb").read() if os.path.exists(body) else b""
            row["response_body_sha256"] = hashlib.sha256(held).hexdigest()
        log(**row)


def dig(name, kind, transport, want):
    words = ["dig", "@127.0.0.1", "-p", "15353", "+noall", "+comments", name, kind, "+" + ("tcp" if transport == "tcp" else "notcp")]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    head = next(line for line in said.splitlines() if "->>HEADER<<-" in line)
    status = head.split("status: ")[1].split(",")[0]
    assert status == want, said
    log(table="dns", qname=name, qtype=kind, transport=transport, rcode=status, id=int(head.split("id: ")[1]))


curl(("GET", "/"), ("GET", "/missing"), ("GET", "/gone"))
curl(("HEAD", "/"), options=["-I"])
curl(("GET", "/big.txt"), options=["--compressed"])
curl(("GET", "/?old=1"), options=["-0"])
curl(("GET", "/index.html"), options=["-r", "0-4"])
curl(("POST", "/"), options=["-d", "name=value"])
dig("shop.test", "A", "udp", "NOERROR")
dig("note.test", "TXT", "udp", "NOERROR")
dig("nothing.test", "A", "udp", "NXDOMAIN")
dig("shop.test", "A", "tcp", "NOERROR")
