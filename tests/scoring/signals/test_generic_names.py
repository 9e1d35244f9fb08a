"""Names that a script made are told from names that somebody gave."""

import time
import tomllib
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.signals.generic_names import DATA, default_patterns, read_patterns, why_generic

# As providers name them; the addresses fit the names.
GENERIC: Final = [
    ("pool-108-21-33-44.nycmny.fios.verizon.net", "108.21.33.44"),
    ("c-73-12-34-56.hsd1.ca.comcast.net", "73.12.34.56"),
    ("cpe-76-90-12-34.socal.res.rr.com", "76.90.12.34"),
    ("cpe-104-162-12-34.nyc.res.rr.com", "104.162.12.34"),
    ("syn-076-090-012-034.res.spectrum.com", "76.90.12.34"),
    ("99-12-34-56.lightspeed.sntcca.sbcglobal.net", "99.12.34.56"),
    ("adsl-75-12-34-56.dsl.pltn13.sbcglobal.net", "75.12.34.56"),
    ("ip68-100-12-34.dc.dc.cox.net", "68.100.12.34"),
    ("wsip-70-164-12-34.sb.sd.cox.net", "70.164.12.34"),
    ("mobile-166-170-12-34.mycingular.net", "166.170.12.34"),
    ("host86-123-45-67.range86-123.btcentralplus.com", "86.123.45.67"),
    ("cpc12345-cmbg15-2-0-cust123.5-4.cable.virginm.net", "82.10.20.30"),
    ("5ec3a1b2.skybroadband.com", "94.195.161.178"),
    ("02d89abc.bb.sky.com", "2.216.154.188"),
    ("dsl-217-155-12-34.zen.co.uk", "217.155.12.34"),
    ("p5b0a1234.dip0.t-ipconnect.de", "91.10.18.52"),
    ("p200300c1234567890000000000000001.dip0.t-ipconnect.de", "2003:c1:2345:6789::1"),
    ("dslb-092-074-012-034.092.074.pools.vodafone-ip.de", "92.74.12.34"),
    ("ip-109-41-0-12.vodafone.example.net", "109.41.0.12"),
    ("ip5f5ac012.dynamic.kabel-deutschland.de", "95.90.192.18"),
    ("i5387ab12.versanet.de", "83.135.171.18"),
    ("xdsl-87-78-12-34.nc.de", "87.78.12.34"),
    ("aftr-82-135-12-34.dynamic.mnet-online.de", "82.135.12.34"),
    ("dynamic-095-112-012-034.95.112.pool.telefonica.de", "95.112.12.34"),
    ("lfbn-idf1-1-234-56.w86-195.abo.wanadoo.fr", "86.195.12.56"),
    ("82-64-12-34.subs.proxad.net", "82.64.12.34"),
    ("88-120-12-34.abo.bbox.fr", "88.120.12.34"),
    ("12.34.64.82.rev.sfr.net", "82.64.34.12"),
    ("host-79-12-34-56.retail.telecomitalia.it", "79.12.34.56"),
    ("net-93-66-12-34.cust.vodafonedsl.it", "93.66.12.34"),
    ("34.12.85.79.dynamic.jazztel.es", "79.85.12.34"),
    ("34.red-83-45-12.dynamicip.rima-tde.net", "83.45.12.34"),
    ("bl12-34-56.dsl.telepac.pt", "85.245.34.56"),
    ("a79-169-12-34.cpe.netcabo.pt", "79.169.12.34"),
    ("84-104-12-34.cable.dynamic.v4.ziggo.nl", "84.104.12.34"),
    ("ip-213-127-12-34.ip.prioritytelecom.net", "213.127.12.34"),
    ("customer-213-32-12-34.ip4.gigabit.dk", "213.32.12.34"),
    ("c-5eea0c22-74736162.cust.telenor.se", "94.234.12.34"),
    ("h-12-34.a123.priv.bahnhof.se", "98.128.12.34"),
    ("91-145-12-34.bb.dnainternet.fi", "91.145.12.34"),
    ("83.21.12.34.ipv4.supernova.orange.pl", "83.21.12.34"),
    ("abcd123.neoplus.adsl.tpnet.pl", "83.20.1.2"),
    ("ip-89-176-12-34.net.vodafone.cz", "89.176.12.34"),
    ("chello080108012034.2.11.vie.surfer.at", "80.108.12.34"),
    ("178-190-12-34.adsl.highway.telekom.at", "178.190.12.34"),
    ("34.12.60.188.dynamic.wline.res.cust.swisscom.ch", "188.60.12.34"),
    ("188-26-12-34.dynamic.rdsnet.ro", "188.26.12.34"),
    ("95-24-12-34.broadband.corbina.ru", "95.24.12.34"),
    ("ppp91-77-12-34.pppoe.mts-internet.ru", "91.77.12.34"),
    ("broadband-46-242-12-34.ip.moscow.rt.ru", "46.242.12.34"),
    ("5-13-12-34.dynamic.example.ua", "5.13.12.34"),
    ("88.247.12.34.dynamic.ttnet.com.tr", "88.247.12.34"),
    ("bzq-79-180-12-34.red.bezeqint.net", "79.180.12.34"),
    ("abts-north-dynamic-034.12.168.122.airtelbroadband.in", "122.168.12.34"),
    ("triband-mum-59.184.12.34.mtnl.net.in", "59.184.12.34"),
    ("ppp-171-96-12-34.revip8.asianet.co.th", "171.96.12.34"),
    ("node-1ab2.pool-101-51.dynamic.totinternet.net", "101.51.12.34"),
    ("118-160-12-34.dynamic-ip.hinet.net", "118.160.12.34"),
    ("p1234567-pool12marunouchi.tokyo.ocn.ne.jp", "153.1.2.3"),
    ("softbank126012034056.bbtec.net", "126.12.34.56"),
    ("cpe-1-120-12-34.nb05.nsw.asp.telstra.net", "1.120.12.34"),
    ("ppp121-45-12-34.bras2.adl4.internode.on.net", "121.45.12.34"),
    ("189-12-34-56.user3g.veloxzone.com.br", "189.12.34.56"),
    ("177.12.34.56.dynamic.adsl.gvt.net.br", "177.12.34.56"),
    ("200-55-12-34.dsl.prima.net.ar", "200.55.12.34"),
    ("dsl-189-130-12-34-dyn.prod-infinitum.com.mx", "189.130.12.34"),
    ("ec2-54-12-34-56.compute-1.amazonaws.com", "54.12.34.56"),
    ("56.34.12.35.bc.googleusercontent.com", "35.12.34.56"),
    ("vps-12-34.vps.example.net", "51.68.12.34"),
    ("1279918114.rev.example.net", "76.74.0.34"),
    ("220c4a4c.rev.example.net", "76.74.12.34"),
    ("2001-db8-12-34-56-78-9a-bc.ipv6.example.net", "2001:db8:12:34:56:78:9a:bc"),
    ("cpe-9e3a54fffe12ab34.ipv6.example.net", "2001:db8::9e3a:54ff:fe12:ab34"),
]

# Names of senders that everybody gets mail from, and of servers on lines with an address of their own.
GIVEN: Final = [
    ("mail-yw1-f54.google.com", "209.85.128.54"),
    ("mail-sor-f69.google.com", "209.85.220.69"),
    ("mail-ej1-x62b.google.com", "2a00:1450:4864:20::62b"),
    ("nam12-bn8-obe.outbound.protection.outlook.com", "40.107.237.60"),
    ("mail-bn8nam12on2045.outbound.protection.outlook.com", "40.107.237.45"),
    ("mail-eopbgr70045.outbound.protection.outlook.com", "40.107.7.45"),
    ("o1.ptr1234.sendgrid.net", "167.89.12.34"),
    ("wrqvnxkr.outbound-mail.sendgrid.net", "149.72.12.34"),
    ("a8-21.smtp-out.amazonses.com", "54.240.8.21"),
    ("a10-12.smtp-out.eu-west-1.amazonses.com", "54.240.10.12"),
    ("mout.gmx.net", "212.227.15.15"),
    ("mout.web.de", "212.227.15.3"),
    ("mout.kundenserver.de", "212.227.126.131"),
    ("mailout01.t-online.de", "194.25.134.80"),
    ("mo4-p00-ob.smtp.rzone.de", "85.215.255.20"),
    ("dd12345.kasserver.com", "85.13.128.1"),
    ("66-220-144-146.mail-mail.facebook.com", "66.220.144.146"),
    ("69-171-232-140.mail-mail.facebook.com", "69.171.232.140"),
    ("sonic316-20.consmr.mail.ne1.yahoo.com", "66.163.187.146"),
    ("omta034.useast.a.cloudfilter.net", "44.202.169.33"),
    ("resqmta-a1p-077723.sys.comcast.net", "96.103.146.49"),
    ("qs51p00im-qukt01071701.me.com", "17.57.155.6"),
    ("st43p00im-ztdg10061801.me.com", "17.58.63.178"),
    ("mail132-45.atl131.mcsv.net", "198.2.132.45"),
    ("mail.python.org", "188.166.95.178"),
    ("vger.kernel.org", "23.128.96.18"),
    ("bendel.debian.org", "82.195.75.100"),
    ("lists.gnu.org", "209.51.188.17"),
    ("out-24.smtp.github.com", "192.30.252.207"),
    ("maile-fb.linkedin.com", "108.174.3.201"),
    ("mxa-00123456.gslb.pphosted.com", "67.231.149.1"),
    ("mx0a-00123456.pphosted.com", "0.18.52.86"),
    ("us-smtp-delivery-1.mimecast.com", "205.139.110.120"),
    ("eu-smtp-delivery-151.mimecast.com", "185.58.86.151"),
    ("mail1.bemta25.messagelabs.com", "195.245.230.2"),
    ("esa1.hc1234-56.iphmx.com", "68.232.12.34"),
    ("us-out1.ess.barracudanetworks.com", "209.222.82.1"),
    ("mta-209-123-45-67.sparkpostmail.com", "209.123.45.67"),
    ("mta230b-ord.mtasv.net", "104.245.209.230"),
    ("m42-7.mailgun.net", "69.72.42.7"),
    ("rs225.mailgun.us", "209.61.151.225"),
    ("o123.p1.mailjet.com", "87.253.233.123"),
    ("ha.d.sender-sib.com", "77.32.148.22"),
    ("smtp14-ph2-sp4.mta.salesforce.com", "13.110.6.8"),
    ("mxphxpool1001.ebay.com", "66.211.184.1"),
    ("sender4-op-o12.zoho.com", "136.143.188.12"),
    ("out4-smtp.messagingengine.com", "66.111.4.28"),
    ("mail-40131.protonmail.ch", "185.70.40.131"),
    ("smtp-29.smtpout.orange.fr", "80.12.242.29"),
    ("smtp5-g21.free.fr", "212.27.42.5"),
    ("3.mo576.mail-out.ovh.net", "46.105.58.3"),
    ("relay8-d.mail.gandi.net", "217.70.183.201"),
    ("smtp-1908.mail.infomaniak.ch", "185.125.25.8"),
    ("p-impout001.msg.pkvw.co.charter.net", "47.43.26.132"),
    ("mailomta13-sa.btinternet.com", "213.120.69.19"),
    ("smtp-out-12.telenor.example.net", "193.71.12.12"),
    ("forward502a.mail.yandex.net", "178.154.239.82"),
    ("f123.i.mail.ru", "94.100.12.123"),
    ("mail-m12345.qiye.163.com", "115.236.123.45"),
    ("out30-132.freemail.mail.aliyun.com", "115.124.30.132"),
    ("r3-12.sinamail.sina.com.cn", "202.108.3.12"),
    ("vmta12.news.example.com", "192.0.2.12"),
    ("static-71-12-34-56.nycmny.fios.verizon.net", "71.12.34.56"),
    ("static.56.34.12.88.clients.your-server.de", "88.12.34.56"),
    ("host12-34-static.45-82-b.business.telecomitalia.it", "82.45.34.12"),
    ("192-0-2-7.fixed.example.net", "192.0.2.7"),
    ("mail.smallfirm.co.uk", "192.0.2.7"),
    ("mx1.verein.example.org", "192.0.2.7"),
    ("dsl.example.com", "192.0.2.7"),
    ("vps7.example.com", "192.0.2.7"),
    ("host1.example.com", "192.0.2.7"),
    ("host-2.example.com", "2001:db8::2"),
    ("broadband123.example", "192.0.2.7"),
    ("dhcp12.co.uk", "192.0.2.7"),
    ("pluto.example.com", "192.0.2.7"),
    ("example.com", "192.0.2.7"),
    ("localhost", "127.0.0.1"),
]


def test_the_tables_are_large() -> None:
    """Both halves have at least sixty names, each once."""
    assert min(len(dict(GENERIC)), len(dict(GIVEN))) >= 60
    assert len(dict(GENERIC)) + len(dict(GIVEN)) == len(GENERIC) + len(GIVEN)


@pytest.mark.parametrize(("name", "address"), GENERIC)
def test_generic(name: str, address: str) -> None:
    """What a provider's script made is found, and why is said."""
    assert why_generic(name, ip_address(address))


@pytest.mark.parametrize(("name", "address"), GIVEN)
def test_given(name: str, address: str) -> None:
    """A name that somebody gave a server is left in peace."""
    assert why_generic(name, ip_address(address)) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("dyn-192-0-2-7.isp.example.net", "it has the address in it, by octets"),
        ("7.2.0.192.isp.example.net", "it has the address in it, by octets"),
        ("x192-0-2.isp.example.net", "it has the address in it, by octets"),
        ("7-2-0-x.isp.example.net", "it has the address in it, by octets"),
        ("192000002007.isp.example.net", "it has the address in it, as one number"),
        ("x007002000192.isp.example.net", "it has the address in it, as one number"),
        ("3221225991.isp.example.net", "it has the address in it, as one number"),
        ("C0000207.isp.example.net", "it has the address in it, in hexadecimal"),
        ("x070200c0.isp.example.net", "it has the address in it, in hexadecimal"),
        ("xdsl9.isp.example.net", "it has a number and 'xdsl' in it"),
        ("host2-7.isp.example.net.", "it has 'host' and two octets of the address in it"),
        ("host7-2.isp.example.net", "it has 'host' and two octets of the address in it"),
        ("host192-0.isp.example.net", None),
        ("box2-7.isp.example.net", None),
        ("host7.isp.example.net", None),
        ("1920.0.2000.7.isp.example.net", None),
    ],
)
def test_why(name: str, why: str | None) -> None:
    """The reason names what was found in it."""
    assert why_generic(name, IPv4Address("192.0.2.7")) == why


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("2001-db8-abcd-12-3456-789a-bcde-f012.isp.example.net", "it has the address in it, with hyphens"),
        ("x20010db8abcd00123456789abcdef012.isp.example.net", "it has the address in it, in hexadecimal"),
        (".".join("210fedcba987654321002dcba8bd01002") + ".isp.example.net", None),
        (
            ".".join("210fedcba98765432100dcba8bd01002") + ".isp.example.net",
            "it has the address in it, in hexadecimal",
        ),
        ("p20010db8abcd0012.isp.example.net", "it has the address in it, in hexadecimal"),
        ("3456-789a-bcde-f012.isp.example.net", "it has the address in it, in hexadecimal"),
        ("host12-34.isp.example.net", None),
    ],
)
def test_why_ipv6(name: str, why: str | None) -> None:
    """RFC 8501: providers make IPv6 names from all of the address, or from one half of it."""
    assert why_generic(name, IPv6Address("2001:db8:abcd:12:3456:789a:bcde:f012")) == why


def test_a_half_of_zeros_proves_nothing() -> None:
    """A name with many zeros in it need not be the address."""
    assert why_generic("x0000000000000001.isp.example.net", IPv6Address("2001:db8::1")) is None


def test_own_patterns() -> None:
    """The lists are data: others may be given."""
    none = read_patterns('server = []\npool = ["*zzz"]\nmany = []\nsecond_level = []')
    address = IPv4Address("192.0.2.7")
    assert why_generic("dyn9.example.net", address, none) is None
    assert why_generic("fizzz9.example.net", address, none) == "it has a number and 'fizzz' in it"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server = []", "there are lists"),
        ('server = []\npool = ["d*n"]\nmany = []\nsecond_level = []', "'d\\*n' is not a word"),
        ('server = []\npool = ["DYN"]\nmany = []\nsecond_level = []', "'DYN' is not a word"),
        ("server = [", "Invalid"),
    ],
)
def test_patterns_that_are_none(text: str, complaint: str) -> None:
    """A broken list is said, not half used."""
    with pytest.raises(ValueError, match=complaint):
        read_patterns(text)


def test_the_data_is_in_order() -> None:
    """No word is in a list twice, or needless beside a shorter one of its list."""
    for words in tomllib.loads(DATA.read_text(encoding="utf-8")).values():
        assert len(set(words)) == len(words)
        heads = tuple(word[:-1] for word in words if word.endswith("*"))
        assert [word for word in words if word.rstrip("*").startswith(heads) and word[:-1] not in heads] == []
    assert default_patterns() is default_patterns()


def test_the_wheel_has_the_data() -> None:
    """The list is inside a package that the build takes as a whole, beside the module that reads it."""
    build = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert "scoring" in build["targets"]["wheel"]["packages"]
    assert DATA.is_file()


@pytest.mark.parametrize(
    "name",
    [
        "a" * 253,
        "1-" * 126,
        "0." * 126 + "a",
        "dyn" * 84,
        "-" * 253,
        "." * 253,
        "1a" * 126,
        "\u0661" * 80,
        "9" * 5000,
    ],
)
@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_hostile_names_cost_little(name: str, address: str) -> None:
    """No name takes longer than 2 ms, or raises."""
    began = time.process_time()
    for _ in range(20):
        why_generic(name, ip_address(address))
    assert (time.process_time() - began) / 20 < 0.002


@given(name=st.text(max_size=300), address=st.ip_addresses())
def test_law_any_name(name: str, address: IPv4Address | IPv6Address) -> None:
    """Whatever stands in a PTR record, the answer is a reason or none."""
    why = why_generic(name, address)
    assert why is None or why.startswith("it has ")


@given(
    address=st.ip_addresses(v=4),
    form=st.sampled_from(
        ["{0}-{1}-{2}-{3}", "{3}.{2}.{1}.{0}", "{0:03}{1:03}{2:03}{3:03}", "{0:02x}{1:02x}{2:02x}{3:02x}"]
    ),
)
def test_law_the_address_is_found(address: IPv4Address, form: str) -> None:
    """Any address is found in any of its usual forms."""
    assert why_generic(f"x{form.format(*address.packed)}.isp.example.net", address)
