"""Shakes hands with OpenSSL's server, and logs what became of it as Python's ssl and curl say."""
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess

LOG = open(os.environ["REMORA_CASE_LOG"], "a")
ANY, ONLY_12, ONLY_13, WANTS_CERTIFICATE = 18443, 18444, 18445, 18446
VERSIONS = {"TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}
# The names of RFC 5289 behind those of OpenSSL; TLS 1.3 has one name for each.
CIPHERS = {
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}


def log(**row):
    print(json.dumps(dict(table="tls", **row)), file=LOG, flush=True)


def context(**options):
    made = ssl.create_default_context(cafile="certificate.pem")
    for name, value in options.items():
        if callable(getattr(made, name)):
            getattr(made, name)(value)
        else:
            setattr(made, name, value)
    return made


def alert(said):
    """What Python was told, or tells the other side where it is the one that refuses."""
    told = re.search(r"alert ([a-z ]+)", said)
    if not told:
        assert "self-signed certificate" in said, said
        return "unknown_ca"
    return told[1].strip().replace(" ", "_")


def shake(port, name, made, session=None):
    """One connection to its end; gives back its session."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        client_port = plain.getsockname()[1]
        row = dict(client_port=client_port, server_port=port, sni=name)
        try:
            with made.wrap_socket(plain, server_hostname=name, session=session) as tls:
                tls.sendall(b"GET /certificate.pem HTTP/1.0\r\n\r\n")
                while tls.recv(4096):
                    pass
                row.update(version=VERSIONS[tls.version()], cipher=CIPHERS.get(tls.cipher()[0], tls.cipher()[0]))
                row.update(resumed=tls.session_reused, ech=False)
                if tls.version() == "TLSv1.2":
                    # TLS 1.3 encrypts what follows the hellos.
                    row.update(alpn=tls.selected_alpn_protocol())
                    if not tls.session_reused:
                        row.update(certificate_sha256=hashlib.sha256(tls.getpeercert(True)).hexdigest())
                log(**row)
                return tls.session
        except ssl.SSLError as refused:
            log(**row, alert=alert(str(refused)))


def curl(port, name, *options):
    words = ["curl", "-sv", "--cacert", "certificate.pem", "--resolve", f"{name}:{port}:127.0.0.1", *options]
    said = subprocess.run([*words, "-o", "page", f"https://{name}:{port}/certificate.pem"], capture_output=True, text=True).stderr
    version, cipher = re.search(r"SSL connection using (\S+) / (\S+)", said).groups()
    # It names no port of its own.
    log(server_port=port, sni=name, version=VERSIONS[version], cipher=CIPHERS.get(cipher, cipher), resumed=False)


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

# TLS 1.3, its ticket, and a second hello because of the group.
made = context()
session = shake(ANY, "shop.test", made)
shake(ANY, "shop.test", made, session)
shake(ONLY_13, "cart.shop.test", context())
# TLS 1.2 with a ticket and by session id, with application protocols and none that both know.
made = context(maximum_version=V12)
session = shake(ANY, "shop.test", made)
shake(ANY, "shop.test", made, session)
made = context()
session = shake(ONLY_12, "shop.test", made)
shake(ONLY_12, "shop.test", made, session)
shake(ANY, "shop.test", context(maximum_version=V12, set_alpn_protocols=["h2", "remora/1"]))
# No name in the hello, and a cipher suite of the client's choice.
shake(ONLY_12, None, context(check_hostname=False, set_ciphers="ECDHE-ECDSA-CHACHA20-POLY1305"))
# Refused in clear: by the server for the version, the cipher suite, the protocol, the certificate it did not get;
# by the client, which does not know the server's.
shake(ONLY_12, "shop.test", context(minimum_version=V13))
shake(ONLY_12, "shop.test", context(maximum_version=V12, set_ciphers="ECDHE-RSA-AES128-GCM-SHA256"))
shake(ANY, "shop.test", context(maximum_version=V12, set_alpn_protocols=["h3"]))
shake(WANTS_CERTIFICATE, "shop.test", context())
shake(ONLY_12, "shop.test", ssl.create_default_context())
curl(ANY, "shop.test")
curl(ONLY_12, "shop.test", "--no-alpn")
