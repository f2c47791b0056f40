"""`make requirements`: which OCPP requirement is covered by which test, as docs/requirements.md.

Tests name what they cover with `@pytest.mark.requirement("A00.FR.405")`. Listed here is what binds the CSMS side, in
our own words, numbered as in OCPP 2.0.1 (profile 2 of the 1.6 white paper counts one lower from 306 on). An id that a
test names and this list does not know is an error: a typing mistake must not look like coverage.
"""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

REPORT = Path(__file__).parents[1] / "docs" / "requirements.md"

CHARGE_POINT = "binds the charge point"
REQUIREMENTS = {
    "A00.FR.001": "one security profile at a time",
    "A00.FR.002": "another profile than the required one is refused",
    "A00.FR.003": CHARGE_POINT,
    "A00.FR.004": "no profile is assumed for an unknown identity",
    "A00.FR.005": "the profile is never lowered over OCPP (messages that try: policy issue; floor: here)",
    "A00.FR.006": "different listeners for different profiles",
    "A00.FR.201": "profile 1 only from trusted networks",
    "A00.FR.202": "Basic authentication is required",
    "A00.FR.203": "credentials on every connection",
    "A00.FR.204": "the user name is the identity in the URL",
    "A00.FR.205": "password rules",
    "A00.FR.206": "clear-text passwords are warned about",
    "A00.FR.207": "user name and password are checked against the registry",
    "A00.FR.301": "profile 2 authenticates with Basic",
    "A00.FR.302": "credentials on every connection (profile 2)",
    "A00.FR.303": "the user name is the identity in the URL (profile 2)",
    "A00.FR.304": "password rules (profile 2)",
    "A00.FR.306": "the gateway is the TLS server",
    "A00.FR.307": "it presents a server certificate",
    "A00.FR.308": "leaf and intermediates are sent",
    "A00.FR.309": "the server certificate's CN is its host name",
    "A00.FR.310": CHARGE_POINT,
    "A00.FR.311": CHARGE_POINT,
    "A00.FR.312": "TLS is required",
    "A00.FR.313": "TLS 1.2 or newer",
    "A00.FR.314": "the version is checked",
    "A00.FR.315": "an older version is terminated",
    "A00.FR.316": CHARGE_POINT,
    "A00.FR.317": "TLS as it is, not modified",
    "A00.FR.318": "the four suites, with an RSA and an ECDSA certificate",
    "A00.FR.319": CHARGE_POINT,
    "A00.FR.320": "no primitives that are unfit",
    "A00.FR.321": "no TLS compression",
    "A00.FR.322": "a charge point that offers only unfit suites is terminated",
    "A00.FR.323": CHARGE_POINT,
    "A00.FR.324": "user name and password are checked against the registry (profile 2)",
    "A00.FR.401": "profile 3 authenticates with a client certificate",
    "A00.FR.402": "the client certificate is demanded in TLS",
    "A00.FR.403": "its path is validated (RFC 5280)",
    "A00.FR.404": "its O is the operator",
    "A00.FR.405": "its CN is the charge point's serial number",
    "A00.FR.406": "factory certificates are good for getting another one alone (asking for it: provisioning issue)",
    "A00.FR.407": "an invalid certificate is terminated",
    "A00.FR.408": "and recorded",
    "A00.FR.409": "the gateway is the TLS server (profile 3)",
    "A00.FR.410": "it presents a server certificate (profile 3)",
    "A00.FR.411": "leaf and intermediates are sent (profile 3)",
    "A00.FR.412": "the server certificate's CN is its host name (profile 3)",
    "A00.FR.413": CHARGE_POINT,
    "A00.FR.414": CHARGE_POINT,
    "A00.FR.415": "TLS is required (profile 3)",
    "A00.FR.416": "TLS 1.2 or newer (profile 3)",
    "A00.FR.417": "the version is checked (profile 3)",
    "A00.FR.418": "an older version is terminated (profile 3)",
    "A00.FR.419": CHARGE_POINT,
    "A00.FR.420": "TLS as it is, not modified (profile 3)",
    "A00.FR.421": "the four suites, with an RSA and an ECDSA certificate (profile 3)",
    "A00.FR.422": CHARGE_POINT,
    "A00.FR.423": "no primitives that are unfit (profile 3)",
    "A00.FR.424": "no TLS compression (profile 3)",
    "A00.FR.425": "a charge point that offers only unfit suites is terminated (profile 3)",
    "A00.FR.426": CHARGE_POINT,
    "A00.FR.427": "one certificate key belongs to one charge point",
    "A00.FR.428": "the certificate may serve as SECC certificate as well",
    "A00.FR.429": "expired certificates by explicit permission, for their renewal alone; without it refused",
    "A00.FR.501": "keys of at least 112 bits of security",
    "A00.FR.502": "RSA keys of at least 2048 bits",
    "A00.FR.503": "EC keys of at least 224 bits",
    "A00.FR.504": "no SHA-1 or MD5 signatures",
    "A00.FR.509": "O of a certificate is the operator's name",
    "A00.FR.510": "CN of the CSMS certificate is its host name",
    "A00.FR.511": "CN of a charge point's certificate is its serial number, no URL and no IP address",
    "A00.FR.512": "key usage is set",
    "A00.FR.514": "a certificate without extended key usage is accepted",
    "A00.FR.702": "revocation is checked at every connection",
    "A00.FR.705": "validity is checked against the revocation list",
    "A01.FR.02": "passwords are changed by the messages that the version has for it",
    "A01.FR.03": "a password candidate whose outcome is unknown is accepted until one of the two is used",
    "A01.FR.04": "a password that was not accepted is void, and the old one stays good",
    "A01.FR.06": "each charge point has a password of its own",
    "A01.FR.07": "passwords are random",
    "A01.FR.08": "passwords are stored as salted hashes only",
    "A01.FR.09": "no password is in a log, an event or a record",
    "A02.FR.01": "the charge point is triggered to make a key and ask for a certificate",
    "A02.FR.06": "certificates are valid from before their issue, for clocks that are behind",
    "A02.FR.11": "a request for a certificate that can be dealt with is accepted",
    "A02.FR.12": "one that cannot be dealt with is rejected",
    "A02.FR.13": "O of the request is the operator's name",
    "A02.FR.14": "the certificate comes with the type of its request",
    "A02.FR.16": "the chain is within what the charge point takes",
    "A02.FR.17": "the same request again gets the same certificate",
    "A02.FR.24": "the certificate comes with the id of its request (2.1)",
    "A03.FR.01": "the charge point may ask for a renewal by itself",
    "A03.FR.02": "certificates live so long that renewal a month before the end makes sense",
    "A02.FR.28": "a charge point that goes back to its old certificate is served, and gets another one",
    "A02.FR.29": "a renewed certificate that the charge point reports as discarded counts as that at once",
    "A05.FR.07": "after a proven upgrade no lower profile, ever (2.x)",
    "A05.FR.08": "a charge point that cannot use the new profile is let back in on the one it falls back to",
    "A05.FR.09": "after a proven upgrade no lower profile, ever (1.6)",
    "B09.FR.21": "a network profile that is in use is never changed",
    "B01.FR.11": "the serial number of BootNotification is compared with the certificate",
    "B01.FR.12": "and a mismatch closes the connection",
    "L01.FR.04": "a firmware image that its signature does not cover is not passed on",
    "M03.FR.01": "a charge point is asked which roots it has",
    "M03.FR.02": "one that has none says NotFound",
    "M04.FR.01": "a root is deleted by its hash data",
    "M04.FR.02": "and is gone then",
    "M04.FR.07": "in the algorithm and the digits that the charge point has reported",
    "M05.FR.01": "a root is installed, and listed then",
    "M05.FR.03": "nothing is sent to a store that is full (1.6)",
    "M05.FR.06": "nothing is sent to a store that is full (2.x)",
    "M05.FR.07": "a root that is rejected is not counted",
    "M05.FR.09": "where links between roots are demanded, the new one is signed by the old one",
    "M05.FR.10": "and nothing else is sent",
    "TC_073_CSMS": "another password for Basic authentication (1.6)",
    "TC_074_CSMS": "renewal of the certificate by request (1.6)",
    "TC_075_1_CSMS": "a manufacturer's root is installed and listed (1.6)",
    "TC_075_2_CSMS": "a root of the CSMS is installed and listed (1.6)",
    "TC_076_CSMS": "a root is deleted, by the hash data that were reported (1.6)",
    "TC_077_CSMS": "a rejected certificate: its event is confirmed",
    "TC_078_CSMS": "a rejected root: its event is confirmed",
    "TC_A_09_CSMS": "another password: the new one is accepted, the old one is not",
    "TC_A_10_CSMS": "a rejected password: the old one is still accepted",
    "TC_A_11_CSMS": "renewal of the certificate by request (2.0.1)",
    "TC_A_12_CSMS": "V2G certificate",
    "TC_A_14_CSMS": "a rejected certificate is borne, its event answered",
    "TC_M_01_CSMS": "a root of the CSMS is installed",
    "TC_M_02_CSMS": "a manufacturer's root is installed",
    "TC_M_03_CSMS": "a V2G root, which the CSMS installs",
    "TC_M_04_CSMS": "a root of mobility operators, which the CSMS installs",
    "TC_M_05_CSMS": "a root that is not installed",
    "TC_M_12_CSMS": "roots of the CSMS are listed",
    "TC_M_13_CSMS": "manufacturers' roots are listed",
    "TC_M_14_CSMS": "V2G roots are listed for the CSMS",
    "TC_M_15_CSMS": "V2G certificate chains are asked for by the CSMS",
    "TC_M_16_CSMS": "roots of mobility operators are listed for the CSMS",
    "TC_M_17_CSMS": "both are listed",
    "TC_M_18_CSMS": "all are listed",
    "TC_M_19_CSMS": "there are none to be listed",
    "TC_M_20_CSMS": "a root is deleted",
    "TC_M_21_CSMS": "a root that is not deleted",
    "TC_083_CSMS": "upgrade of the security profile: new accepted, old refused",
    "TC_085_CSMS": "Basic authentication, valid combination",
    "TC_086_CSMS": "TLS, server certificate",
    "TC_087_CSMS": "TLS, client certificate",
    "TC_088_CSMS": "subprotocol negotiation (1.6)",
    "TC_A_01_CSMS": "Basic authentication, valid",
    "TC_A_02_CSMS": "Basic authentication, user name is not the identity",
    "TC_A_03_CSMS": "Basic authentication, wrong password",
    "TC_A_04_CSMS": "TLS server certificate valid",
    "TC_A_06_CSMS": "TLS version too low",
    "TC_A_07_CSMS": "TLS client certificate valid",
    "TC_A_08_CSMS": "TLS client certificate invalid",
    "TC_A_19_CSMS": "upgrade of the security profile: new accepted, old refused",
    "TC_B_58_CSMS": "subprotocol negotiation (2.0.1)",
}


def collect() -> dict[str, set[str]]:
    """Tests by requirement id, parameters left out. Raises SystemExit if pytest cannot collect."""
    with tempfile.TemporaryDirectory() as directory:
        found = Path(directory) / "found.txt"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
            env={**os.environ, "OCPP_REQUIREMENTS_REPORT": str(found)},
            cwd=REPORT.parents[1],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout.decode() + done.stderr.decode())
        tests: dict[str, set[str]] = defaultdict(set)
        for line in found.read_text().splitlines():
            requirement, _, node = line.partition("\t")
            if requirement.startswith("TC_") and not requirement.endswith("_CSMS"):
                requirement += "_CSMS"
            if requirement:
                tests[requirement].add(node.partition("[")[0])
    return tests


def report(tests: dict[str, set[str]]) -> str:
    """Markdown: what is covered by what, what is not, what is not ours. Raises SystemExit for an unknown id."""
    unknown = sorted(tests.keys() - REQUIREMENTS.keys())
    if unknown:
        raise SystemExit(f"tests name requirements that tests/requirements.py does not know: {', '.join(unknown)}")
    ours = {key: text for key, text in REQUIREMENTS.items() if text != CHARGE_POINT}
    covered = [key for key in ours if tests.get(key)]
    lines = [
        "# Requirements and the tests that cover them",
        "",
        "Made by `make requirements`; do not edit. Ids as in OCPP 2.0.1, texts in our own words.",
        "",
        f"{len(covered)} of {len(ours)} requirements that bind the CSMS side are covered; "
        f"{len(REQUIREMENTS) - len(ours)} more in the same number ranges bind only the charge point.",
        "",
        "| id | what it demands | tests |",
        "|---|---|---|",
    ]
    for key, text in ours.items():
        shown = "<br>".join(f"`{name.removeprefix('tests/')}`" for name in sorted(tests.get(key, ()))[:4])
        more = len(tests.get(key, ())) - 4
        lines.append(f"| {key} | {text} | {shown or '**none**'}{f'<br>and {more} more' if more > 0 else ''} |")
    only = ", ".join(key for key, text in REQUIREMENTS.items() if text == CHARGE_POINT)
    return "\n".join([*lines, "", f"Only the charge point: {only}.", ""])


def main() -> int:
    """Write the report. Returns the exit code."""
    tests = collect()
    REPORT.write_text(report(tests))
    ours = [key for key, text in REQUIREMENTS.items() if text != CHARGE_POINT]
    missing = [key for key in ours if not tests.get(key)]
    print(
        f"{len(ours) - len(missing)} of {len(ours)} requirements covered"
        + (f"; not: {', '.join(missing)}" if missing else "")
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
