// Verifies with jose and @sd-jwt/jwt-status-list what `examples/tokens.rs` wrote below WORK, and that forgeries are refused.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { StatusList, getListFromStatusListJWT, getStatusListFromJWT } from "@sd-jwt/jwt-status-list";
import { createLocalJWKSet, jwtVerify } from "jose";

const work = process.argv[2];
const text = (name) => readFileSync(join(work, name), "utf8");
const keys = createLocalJWKSet(JSON.parse(text("jwks.json")));
const audience = text("audience");

const verify = (token, typ, options = {}) =>
  jwtVerify(token, keys, {
    algorithms: ["EdDSA"],
    issuer: "spiffe://fed.example",
    audience,
    typ,
    requiredClaims: ["jti", "status"],
    ...options,
  });

function check(holds, what) {
  if (!holds) {
    throw new Error(what);
  }
}

const { payload: entitlement } = await verify(text("entitlement.jwt"), "fedplane-entitlement+jwt");
check(entitlement.tier === "pro" && entitlement.domains.join() === "COM,EDU", JSON.stringify(entitlement));
const { payload: activation } = await verify(text("activation.jwt"), "fedplane-activation+jwt");
check(activation.domain === "COM" && activation.version === "1.2.0", JSON.stringify(activation));

const [head, body, tail] = text("entitlement.jwt").split(".");
const other = Buffer.from(body, "base64url").toString().replace('"pro"', '"custom"');
const forgeries = [
  ["another key signed", text("forged.jwt")],
  ["has ended", text("expired.jwt")],
  ["is of another type", text("activation.jwt")],
  ["was changed", [head, Buffer.from(other).toString("base64url"), tail].join(".")],
];
for (const [why, token] of forgeries) {
  const accepted = await verify(token, "fedplane-entitlement+jwt").then(() => true, () => false);
  check(!accepted, `jose accepted a token that ${why}`);
}
const elsewhere = { audience: "spiffe://fed.example/instance/other" };
const accepted = await verify(text("entitlement.jwt"), "fedplane-entitlement+jwt", elsewhere).then(() => true, () => false);
check(!accepted, "jose accepted a token for another");

const status = text("status.jwt");
await jwtVerify(status, keys, { algorithms: ["EdDSA"], typ: "statuslist+jwt" });
const list = getListFromStatusListJWT(status);
check(list instanceof StatusList && list.getBitsPerStatus() === 2, "two bits to a token");
const found = [0, 1, 2, 3].map((index) => list.getStatus(index));
check(found.join() === "0,2,1,0", `the list says ${found}`);
for (const [name, index] of [["entitlement.jwt", 0], ["activation.jwt", 1]]) {
  const place = getStatusListFromJWT(text(name));
  check(place.idx === index && place.uri === entitlement.status.status_list.uri, JSON.stringify(place));
}
console.log("jose, jwt-status-list: 2 tokens and a status list verified, 5 forgeries refused");
