"""Signs requests with http-message-signatures and sends them to a plane: FOLDER PORT. The right one goes through."""

import base64
import json
import os
import sys
from pathlib import Path

import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hashlib import sha256
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

folder, port = Path(sys.argv[1]), int(sys.argv[2])
operators = folder / "keys/operators"
key_pem = (operators / "admin.key").read_bytes()
private = load_pem_private_key(key_pem, password=None)
url64 = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
thumbprint = url64(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{url64(raw)}"}}'.encode()).digest())
root = folder / "root.pem"
root.write_text(json.loads(base64.urlsafe_b64decode(json.loads((folder / "keys.json").read_text())["payload"] + "=="))["root_ca"])


class Keys(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id):
        return private

    def resolve_public_key(self, key_id):
        return private.public_key()


def call(method, path, body=b"", change=lambda request: None, **options):
    request = requests.Request(method, f"https://127.0.0.1:{port}{path}", data=body or None)
    if body:
        request.headers["Content-Type"] = "application/json"
    prepared = request.prepare()
    prepared.headers["Content-Digest"] = f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    signer.sign(
        prepared,
        key_id=options.get("key_id", thumbprint),
        nonce=options.get("nonce", url64(os.urandom(16))),
        label="sig1",
        use_existing_digest=True,
        tag=options.get("tag", "fedplane"),
        covered_component_ids=options.get("components", ("@method", "@authority", "@target-uri", "content-digest")),
    )
    change(prepared)
    with requests.Session() as session:
        return session.send(
            prepared, cert=(str(operators / "admin.pem"), str(operators / "admin.key")), verify=str(root)
        )


def refused(why, code, *arguments, **options):
    answer = call(*arguments, **options)
    assert answer.status_code >= 400 and answer.json()["code"] == code, f"{why}: {answer.status_code} {answer.text}"


answer = call("GET", "/v1/federation")
assert answer.status_code == 200, answer.text
assert answer.json()["trust_domain"], answer.text
body = json.dumps({"kind": "saas-shared", "tier": "free"}).encode()
answer = call("POST", "/v1/enrolments", body)
assert answer.status_code == 201, answer.text

nonce = url64(os.urandom(16))
assert call("GET", "/v1/federation", nonce=nonce).status_code == 200
refused("played again", "nonce-replayed", "GET", "/v1/federation", nonce=nonce)


def other_path(request):
    request.url = request.url.replace("/v1/federation", "/v1/rollouts")


def other_body(request):
    request.body = request.body.replace(b"free", b"pro ")


refused("for another path", "signature-invalid", "GET", "/v1/federation", change=other_path)
refused("with another body", "digest-mismatch", "POST", "/v1/enrolments", body, change=other_body)
refused("for another purpose", "signature-malformed", "GET", "/v1/federation", tag="other")
refused("without the digest", "signature-malformed", "GET", "/v1/federation", components=("@method", "@authority", "@target-uri"))
refused("under another name", "signature-invalid", "GET", "/v1/federation", key_id=url64(bytes(32)))
print("http-message-signatures: 3 requests went through, 6 were refused")
