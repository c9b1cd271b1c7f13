"""Asks GraphQL Yoga over HTTP/1.1 and HTTP/2, and logs what it asked and what httpx got."""
import hashlib
import json
import os
from urllib.parse import urlencode

import httpx

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
FISH = "query Fish($name: String!) { fish(name: $name) { ...Body eats { name } } }\nfragment Body on Fish { name cm }"
TWO = "query One { all { name } } query Two { everything: all { name } __typename }"


def log(table, **row):
    print(json.dumps(dict(table=table, **row)), file=LOG, flush=True)


class Client:
    def __init__(self, http2):
        self.http2 = http2
        self.url = f"http://127.0.0.1:{18098 if http2 else 18097}"
        self.client = httpx.Client(http1=not http2, http2=http2)

    def ask(self, path, operations, **request):
        """Asks, and logs the exchange and its operations: each has what rows say of it, and its result is added."""
        method = "POST" if request else "GET"
        got = self.client.request(method, self.url + path, **request)
        path, _, query = path.partition("?")
        row = dict(version="2" if self.http2 else "1.1", method=method, path=path, query=query or None)
        log("http", **row, status=got.status_code, response_body_sha256=hashlib.sha256(got.content).hexdigest())
        if got.headers["content-type"].startswith("text/event-stream"):
            # A result an event; the operation has the errors of all.
            events = [json.loads(line[6:]) for line in got.text.splitlines() if line.startswith("data: {")]
            results = {"errors": [error for event in events for error in event.get("errors", [])] or None}
        else:
            results = got.json() if got.headers["content-type"].startswith("application/") else {}
        for operation in operations:
            at = operation.setdefault("batch_index", None)
            result = results if at is None else results[at]
            errors = result.get("errors")
            count = len(errors or []) if result else None
            log("graphql", **operation, error_count=count, errors=errors)


def operation(kind, fields, query=None, name=None, **more):
    return dict(operation_type=kind, root_fields=fields, query=query, operation_name=name, **more)


def request(query=None, variables=None, name=None, sha256=None):
    asked = dict(query=query, variables=variables, operationName=name)
    if sha256:
        asked["extensions"] = {"persistedQuery": {"version": 1, "sha256Hash": sha256}}
    return {name: value for name, value in asked.items() if value is not None}


def single(client):
    post = lambda asked, *operations, **more: client.ask("/graphql", operations, json=asked, **more)
    all_fish = "{ all { name } }"
    post(request(all_fish), operation("query", ["all"], all_fish))
    cod, shark = {"name": "cod"}, {"name": "shark"}
    post(request(FISH, cod, "Fish"), operation("query", ["fish"], FISH, "Fish", variables=cod))
    # Of these, the first has data and an error, the others only errors.
    post(request(FISH, shark), operation("query", ["fish"], FISH, "Fish", variables=shark))
    post(request(FISH), operation("query", ["fish"], FISH, "Fish", variables=None))
    wrong = "query Wrong { birds }"
    strict = {"headers": {"Accept": "application/graphql-response+json"}}
    post(request(wrong), operation("query", ["birds"], wrong, "Wrong"), **strict)
    post(request(TWO, name="Two"), operation("query", ["all", "__typename"], TWO, "Two"))
    post(request(TWO), operation(None, None, TWO))
    add = 'mutation { add(name: "żółw") { name cm(scale: 0.5) } }'
    post(request(add), operation("mutation", ["add"], add))
    count = "subscription Count { counted(to: 3) }"
    events = {"headers": {"Accept": "text/event-stream"}}
    post(request(count), operation("subscription", ["counted"], count, "Count"), **events)
    broken = "query Broken { all { name }"
    post(request(broken))


def other_ways(client):
    named = urlencode(dict(query=FISH, variables='{"name":"eel"}', operationName="Fish"))
    client.ask(f"/graphql?{named}", [operation("query", ["fish"], FISH, "Fish", variables={"name": "eel"})])
    change = 'mutation Add { add(name: "ray") { name } }'
    client.ask(f"/graphql?{urlencode(dict(query=change))}", [operation("mutation", ["add"], change, "Add")])
    document = "{ all { name eats { name } } }"
    typed = {"Content-Type": "application/graphql"}
    client.ask("/graphql", [operation("query", ["all"], document)], content=document, headers=typed)
    picture = "mutation Picture($file: File!) { picture(of: \"cod\", file: $file) }"
    form = {"operations": json.dumps(request(picture, {"file": None})), "map": '{"0":["variables.file"]}'}
    asked = operation("mutation", ["picture"], picture, "Picture", variables={"file": None})
    client.ask("/graphql", [asked], data=form, files={"0": ("cod.txt", b"><>" * 10, "text/plain")})


def batches(client):
    asked = [request(FISH, {"name": name}) for name in ["cod", "shark"]] + [request("{ __typename }")]
    said = [
        operation("query", ["fish"], FISH, "Fish", variables={"name": name}, batch_index=at)
        for at, name in enumerate(["cod", "shark"])
    ]
    said.append(operation("query", ["__typename"], "{ __typename }", batch_index=2))
    client.ask("/graphql", said, json=asked)


def persisted(client):
    query = "query Kept { all { cm } }"
    sha256 = hashlib.sha256(query.encode()).hexdigest()
    by_hash = operation(None, None, query_sha256=sha256)
    whole = operation("query", ["all"], query, "Kept", query_sha256=sha256)
    client.ask("/graphql", [dict(by_hash)], json=request(sha256=sha256))
    client.ask("/graphql", [whole], json=request(query, sha256=sha256))
    client.ask("/graphql", [dict(by_hash)], json=request(sha256=sha256))
    extensions = json.dumps(request(sha256=sha256)["extensions"])
    client.ask(f"/graphql?{urlencode(dict(extensions=extensions))}", [dict(by_hash)])


for http2 in [False, True]:
    client = Client(http2)
    single(client)
    other_ways(client)
    batches(client)
    persisted(client)
    client.client.close()
