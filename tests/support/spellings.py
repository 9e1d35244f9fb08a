"""Commands behind which content comes, in spellings that some server takes for them and others do not."""

from typing import Final

# each of the first twelve is DATA to one at least of Postfix, Exim, OpenSMTPD, sendmail, aiosmtpd, Haraka and
# smtp-server
DATA: Final = (
    b"DATA \r\n",
    b"dAtA\r\n",
    b"DATA\n",
    b"DATA\0\r\n",
    b"DATA\0foo\r\n",
    b" DATA\r\n",
    b"\tDATA\r\n",
    b"DATA\t\r\n",
    b"DATA foo\r\n",
    b"DATA\r\r\n",
    b"DATA\x0b\r\n",
    b"DATA\x0c\r\n",
    b"\0DATA\r\n",
    b"DA\0TA\r\n",
    b"DATA;\r\n",
    b"DATA:\r\n",
    b"\xef\xbb\xbfDATA\r\n",
    b"DATA\xa0\r\n",
    b"DAT\xc1\r\n",
    b"\xc4ATA\r\n",
    b"DATA\x7f\r\n",
    b"DATAX\x08\r\n",
    b'"DATA"\r\n',
    b"NOOP\rDATA\r\n",
    b"NOOP\0\rDATA\r\n",
)
SOUND: Final = frozenset({b"DATA \r\n", b"dAtA\r\n"})  # and those that RFC 5321 has

# chunks of 18 octets, or of as many as somebody reads there
BDAT: Final = tuple(
    line + b"\r\n"
    for line in (
        b"BDAT 18 LAST",
        b"bdat 18 last",
        b"BDAT 18",
        b"BDAT +18 LAST",
        b"BDAT -18 LAST",
        b"BDAT 0x12 LAST",
        b"BDAT 022 LAST",
        b"BDAT 018 LAST",
        b"BDAT 18.0 LAST",
        b"BDAT 18,0 LAST",
        b"BDAT 1_8 LAST",
        b"BDAT 1e1 LAST",
        b"BDAT 18LAST",
        b"BDAT 18 LASTX",
        b"BDAT 18 LAST x",
        b"BDAT 18  LAST",
        b"BDAT  18 LAST",
        b"BDAT 18 LAST ",
        b"BDAT 18\tLAST",
        b"BDAT\t18 LAST",
        b" BDAT 18 LAST",
        b"BDAT 18\0 LAST",
        b"BDAT 18 LAST\0",
        b"BDAT 4294967314 LAST",
        b"BDAT -4294967278 LAST",
        b"BDAT 18446744073709551634 LAST",
        "BDAT \u0661\u0668 LAST".encode(),  # Arabic digits
        b"BDAT 0",
        b"BDAT 0 LAST",
        b"BDAT",
        b"BDAT LAST",
    )
)
CHUNK: Final = b"MAIL FROM:<wy@x>\r\n"
