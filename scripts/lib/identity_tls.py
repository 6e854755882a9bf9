"""Has sslyze look at the instances' listener of a plane: FOLDER PORT. TLS 1.3 and nothing older, and no early data."""

import sys
from pathlib import Path

from sslyze import (
    ClientAuthenticationCredentials,
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanStatusEnum,
)

folder, port = Path(sys.argv[1]), int(sys.argv[2])
operators = folder / "keys/operators"
location = ServerNetworkLocation(hostname="localhost", ip_address="127.0.0.1", port=port)
with_certificate = ServerNetworkConfiguration(
    tls_server_name_indication="localhost",
    tls_client_auth_credentials=ClientAuthenticationCredentials(
        certificate_chain_path=operators / "admin.pem", key_path=operators / "admin.key"
    ),
)
# The OpenSSL that sslyze tries old protocols with knows no Ed25519 keys; what is spoken shows before a certificate is asked for.
without = ServerNetworkConfiguration(tls_server_name_indication="localhost")


def look(network, commands):
    scanner = Scanner()
    scanner.queue_scans([ServerScanRequest(location, network_configuration=network, scan_commands=commands)])
    (result,) = scanner.get_results()
    if result.scan_status != ServerScanStatusEnum.COMPLETED:
        sys.exit(f"sslyze could not look: {result.connectivity_error_trace}")
    return result.scan_result


def of(name, attempt):
    if attempt.status != ScanCommandAttemptStatusEnum.COMPLETED:
        sys.exit(f"sslyze could not look at {name}: {attempt.error_reason} {attempt.error_trace}")
    return attempt.result


old = look(
    without,
    {
        ScanCommand.SSL_2_0_CIPHER_SUITES,
        ScanCommand.SSL_3_0_CIPHER_SUITES,
        ScanCommand.TLS_1_0_CIPHER_SUITES,
        ScanCommand.TLS_1_1_CIPHER_SUITES,
        ScanCommand.TLS_1_2_CIPHER_SUITES,
    },
)
for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"]:
    accepted = of(version, getattr(old, f"{version}_cipher_suites")).accepted_cipher_suites
    assert not accepted, f"{version} is spoken: {accepted}"

new = look(with_certificate, {ScanCommand.TLS_1_3_CIPHER_SUITES, ScanCommand.TLS_1_3_EARLY_DATA})
suites = [suite.cipher_suite.name for suite in of("TLS 1.3", new.tls_1_3_cipher_suites).accepted_cipher_suites]
assert suites and all("AES" in suite or "CHACHA20" in suite for suite in suites), suites
assert not of("early data", new.tls_1_3_early_data).supports_early_data, "early data can be played again"
print(f"sslyze: TLS 1.3 alone, with {', '.join(suites)}; no early data")
