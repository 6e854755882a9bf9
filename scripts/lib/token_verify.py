"""Verifies with PyJWT what `examples/tokens.rs` wrote below WORK, and that every forgery is refused."""

import base64
import json
import sys
import zlib
from pathlib import Path

import jwt

work = Path(sys.argv[1])


def text(name):
    return (work / name).read_text()


jwks = jwt.PyJWKSet.from_dict(json.loads(text("jwks.json")))
assert len(jwks.keys) == 2, "the next key is published ahead of its time"
audience = text("audience")


def verify(token, typ, audience=audience):
    header = jwt.get_unverified_header(token)
    assert header["typ"] == typ, header
    key = next(key for key in jwks.keys if key.key_id == header["kid"])
    return jwt.decode(
        token,
        key,
        algorithms=["EdDSA"],
        audience=audience,
        issuer="spiffe://fed.example",
        options={"require": ["exp", "iat", "aud", "iss", "jti"]},
    )


def refused(why, *arguments):
    try:
        verify(*arguments)
    except (jwt.PyJWTError, AssertionError, StopIteration):
        return
    sys.exit(f"PyJWT accepted a token that {why}")


entitlement = verify(text("entitlement.jwt"), "fedplane-entitlement+jwt")
assert entitlement["tier"] == "pro" and entitlement["domains_max"] == 10, entitlement
assert entitlement["domains"] == ["COM", "EDU"], entitlement
activation = verify(text("activation.jwt"), "fedplane-activation+jwt")
assert activation["domain"] == "COM" and activation["version"] == "1.2.0", activation

refused("another key signed", text("forged.jwt"), "fedplane-entitlement+jwt")
refused("has ended", text("expired.jwt"), "fedplane-entitlement+jwt")
refused("is for another", text("entitlement.jwt"), "fedplane-entitlement+jwt", "spiffe://fed.example/instance/other")
refused("is of another type", text("activation.jwt"), "fedplane-entitlement+jwt")
head, body, tail = text("entitlement.jwt").split(".")
padded = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).replace(b'"pro"', b'"custom"')
changed = base64.urlsafe_b64encode(padded).rstrip(b"=").decode()
refused("was changed", ".".join([head, changed, tail]), "fedplane-entitlement+jwt")
none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"fedplane-entitlement+jwt","kid":"x"}').rstrip(b"=").decode()
refused("names no algorithm", ".".join([none, body, ""]), "fedplane-entitlement+jwt")

# The Token Status List by its text: two bits to a token, the lowest bits first, zlib.
key = next(key for key in jwks.keys if key.key_id == jwt.get_unverified_header(text("status.jwt"))["kid"])
listed = jwt.decode(text("status.jwt"), key, algorithms=["EdDSA"], options={"verify_aud": False})
assert listed["sub"] == entitlement["status"]["status_list"]["uri"], listed
assert listed["ttl"] == 300, listed
packed = listed["status_list"]["lst"]
data = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
statuses = [data[index // 4] >> (index % 4 * 2) & 3 for index in range(4)]
assert statuses == [0, 2, 1, 0], statuses
print("PyJWT: 2 tokens and a status list verified, 6 forgeries refused")
