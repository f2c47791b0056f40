import pytest

from gateway.policy.urls import read_url


@pytest.mark.parametrize(
    "text",
    [
        "https://fw.vendor.example/fw.bin",
        "HTTPS://FW.Vendor.Example/fw.bin",
        "https://fw.vendor.example:8443/a/b/fw-2.bin?x=1&y=2#top",
        "https://fw.vendor.example",
        "https://fw.vendor.example/get?for=ops@vendor.example",
        "https://fw.vendor.example/",
        "sftp://user:secret@logs.example.test/in",
        "https://[2001:db8::1]/x",
        "https://198.51.100.7/x",
        "https://fw.vendor.example/a%20b",
        "https://fw.vendor.example/dir/",
        "https://xn--bcher-kva.example/fw",
        "https://fw.vendor.example/.well-known/x",
        "https://fw.vendor.example/a..b",
        "https://fw_vendor.example/x",
        "ftp://fw.vendor.example//var/log",
    ],
)
def test_urls_that_every_parser_reads_alike(text):
    assert read_url(text).ok


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fw.vendor.example/fw.bin",
        "//fw.vendor.example/x",
        "javascript:alert(1)",
        "https:/fw.vendor.example/x",
        "https:///x",
        "https://evil.test\\@fw.vendor.example/fw.bin",
        "https://fw.vendor.example\\.evil.test/",
        "https://fw.vendor.example/../..//evil",
        "https://fw.vendor.example/a/./b",
        "https://fw.vendor.example/a//b",
        "https://fw.vendor.example/%2e%2e/x",
        "https://fw.vendor.example/a%2fb",
        "https://fw.vendor.example/a%5cb",
        "https://fw.vendor.example/a%00b",
        "https://fw.vendor.example/a%zz",
        "https://fw.vendor.example./fw.bin",
        "https://fw.vendor.example:/x",
        "https://fw.vendor.example:99999/x",
        "https://fw.vendor.example:443:80/x",
        "https://fw.vend\u043er.example/fw.bin",
        "https://fw.vendor.example/fw.bin\t.evil.test",
        " https://fw.vendor.example/x",
        "https://fw.vendor.example/x\n",
        "ftp://fw.vendor.example///x",
        "https://fw.vendor.example//x",
        "https://-fw.example/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://127.1/x",
        "https://0177.0.0.1/x",
        "https://[::ffff:10.0.0.5]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://[::ffff:0:a00:5]/x",
        "https://[fe80::1%25eth0]/x",
        "https://[2001:db8::1/x",
        "https://fw.vendor.example#@evil.test/",
        "https://fw.vendor.example?@evil.test/",
        "https://a@b@fw.vendor.example/x/@y",
        "https://" + "a" * 64 + ".example/x",
        "https://fw.vendor.example/" + "a" * 3000,
    ],
)
def test_urls_that_two_parsers_read_differently(text):
    assert not read_url(text).ok


def test_userinfo_is_seen_and_never_kept():
    url = read_url("https://fw.vendor.example:s3cret@evil.test/fw.bin")
    assert (url.host, url.userinfo) == ("evil.test", "fw.vendor.example:...")
    assert read_url("https://evil.test/fw.bin").userinfo == ""


@pytest.mark.parametrize(
    ("text", "private", "local"),
    [
        ("http://169.254.169.254/x", True, True),
        ("http://127.0.0.1/x", True, True),
        ("http://localhost/x", True, True),
        ("http://a.localhost/x", True, True),
        ("http://0.0.0.0/x", True, True),
        ("http://[::1]/x", True, True),
        ("http://[::ffff:127.0.0.1]/x", True, True),
        ("http://2130706433/x", True, True),
        ("http://224.0.0.1/x", True, True),
        ("http://10.1.2.3/x", True, False),
        ("http://192.168.1.1/x", True, False),
        ("http://[fd00::1]/x", True, False),
        ("http://fw.local/x", True, False),
        ("http://[64:ff9b:1::808:808]/x", True, False),
        ("http://[64:ff9b:1:ffff::a00:1]/x", True, False),
        ("http://[::ffff:0:7f00:1]/x", True, True),
        ("http://[::ffff:0:a00:1]/x", True, False),
        ("http://[fec0::1]/x", True, False),
        ("http://[feff::1]/x", True, False),
        ("http://[64:ff9b::808:808]/x", False, False),
        ("http://[::ffff:0:808:808]/x", False, False),
        ("http://[2a00:1450::1]/x", False, False),
        ("http://8.8.8.8/x", False, False),
        ("http://fw.vendor.example/x", False, False),
        ("http://notlocalhost/x", False, False),
        ("http://localhost.example.com/x", False, False),
    ],
)
def test_where_a_host_is(text, private, local):
    url = read_url(text)
    assert (url.private, url.local) == (private, local)


@pytest.mark.parametrize(
    ("text", "port"), [("https://a.example/", 443), ("ftp://a.example/", 21), ("https://a.example:8443/", 8443)]
)
def test_ports(text, port):
    assert read_url(text).port == port
