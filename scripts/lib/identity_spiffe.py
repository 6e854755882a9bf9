"""Reads with the SPIFFE library what `examples/certificates.rs` wrote below WORK."""

import base64
import json
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import SpiffeId, TrustDomain, X509Bundle, X509Svid

work = Path(sys.argv[1])
chain = (work / "instance.pem").read_bytes()
svid = X509Svid.parse(chain, (work / "instance.key").read_bytes())
assert str(svid.spiffe_id) == (work / "instance.id").read_text(), svid.spiffe_id
assert svid.spiffe_id.trust_domain == TrustDomain("fed.example")
assert len(svid.cert_chain) == 2, "the leaf, and the instance CA that links it to the root"

trust_domain = TrustDomain("fed.example")
bundle = X509Bundle.parse(trust_domain, (work / "root.pem").read_bytes())
(root,) = bundle.x509_authorities
names = root.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://fed.example"], names

# The bundle as federations exchange it: the same certificate.
listed = json.loads((work / "bundle.json").read_text())
(key,) = listed["keys"]
assert (key["use"], key["kty"], key["crv"]) == ("x509-svid", "OKP", "Ed25519"), key
assert base64.b64decode(key["x5c"][0]) == root.public_bytes(Encoding.DER)
assert X509Bundle.parse_raw(trust_domain, base64.b64decode(key["x5c"][0])).x509_authorities == {root}
try:
    X509Svid.parse((work / "intermediate.pem").read_bytes(), (work / "instance.key").read_bytes())
except Exception:
    pass
else:
    sys.exit("a CA's certificate was taken for an SVID")
print("spiffe: an SVID, a bundle in PEM and one as JWK set read; a CA is no SVID")
