"""Hashes as other systems write them: the ones here were written by those systems."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from dataclasses import replace

import argon2.low_level
import bcrypt
import pytest
from argon2.profiles import RFC_9106_HIGH_MEMORY
from hypothesis import given
from hypothesis import strategies as st

from authsql import InvalidInput, UnknownHash
from authsql import _foreign_hashes as foreign
from authsql._hash_forms import parse
from authsql._passwords import hash_password, imported, is_outdated
from tests.support import FAST, check

# Of this password, by the named library, at costs that are low.
SECRET = "pässword of anybody"
WRITTEN = {
    "django pbkdf2": "pbkdf2_sha256$1200$saltsaltsalt$favG9DgbGREoevFP9EMnFIyMykFf84OogZ8V6DnYk70=",
    "django scrypt": (
        "scrypt$1024$saltsaltsalt$8$1$8O/4HD6q5oyuNv3ADCztqOTKtYGkWzPsh0WGmz0VaGIUICsKm7LQMqtzp9EfV4UbQk+"
        "/13BOed5Q+p0QrUqqIQ=="
    ),
    "django argon2": (
        "argon2$argon2id$v=19$m=8,t=1,p=1$VVNMb2psUXViOVJNcVBOb0xEdGIzYw"
        "$wpJOab2unuZiplvkArjhFVej/OcNNmjOStH+g3aB+QU"
    ),
    "django bcrypt": "bcrypt$$2b$04$PpCDDUaoY8mh/0fzGdT71.Sm9Ts3Ckga35NR/3OSZ/k4MMfaeaPsC",
    "werkzeug scrypt": (
        "scrypt:1024:8:1$unuowSYZvChyw034$f76e142399348b7a9e8416812693e3f4203c31964a67ca0010a736da56ac94e7"
        "78b155854b1fbf7b1cf379be14adc931db0579fb198a2247d0f8728d678f5524"
    ),
    "werkzeug pbkdf2 sha256": (
        "pbkdf2:sha256:1200$05BKfUauynVOTOXr$dff18b0aa98248afe0a06d33144113af34fc320925aa328578172948dcb25658"
    ),
    "werkzeug pbkdf2 sha512": (
        "pbkdf2:sha512:1200$CmWud43hCukEib3z$3dd3d2d918bd42e21eac9472cc1d3e214210c73df2f7f9954c8f7f87fad62f83"
        "9b0d35ab83f7c259397ef3f0d46c7e2f088a8060d812710bd4e7ba29e61546d5"
    ),
    "passlib scrypt": (
        "$scrypt$ln=10,r=8,p=1$hVAKQaj1Puf8X2stBYAwpg$Ym7wG4k+GIkLtkjMRQCBFaFCnjfj3flv4rAau8DOwjI"
    ),
    "passlib pbkdf2 sha256": (
        "$pbkdf2-sha256$1200$8f6fM6Z0TinFeA.BsHbOuQ$jAs8irlTRTx7VbvqyrE43NqE6J6k8xV12FROyvRHU.U"
    ),
    "passlib pbkdf2 sha512": (
        "$pbkdf2-sha512$1200$iHHOOcf4f6/VGkNojZHy3g$cXcx.yjH8xaA5XIBh.jWZjNidTegQeh6ynT2QqBzLwad5oP4syu7QYlm"
        "/lDXGJg.64lBKaECUsc9SjwLWJfZUA"
    ),
    "argon2id": (
        "$argon2id$v=19$m=64,t=1,p=1$FIIwhlDqXQuhtNaac47RGg$5uas4FYj6Ty5AJtv7OvFKVX6OV30ZILtWdvIpiw+H7I"
    ),
    "argon2i": (
        "$argon2i$v=19$m=64,t=1,p=1$7b13LuUc49y7txZiLEWI8Q$WJjrcoP7XsOMcdAWbktd1P6KjWhIH8wr4mPjtha6R8U"
    ),
    "argon2d": (
        "$argon2d$v=19$m=64,t=1,p=1$QijFuJdSqnWulXKuFeI8Bw$EnSOQpfGaUfqhavmobmwR5g0jFxoy1qDEi4MzUVi0jg"
    ),
    "argon2i 1.0": (
        "$argon2i$v=16$m=64,t=1,p=1$c2FsdHNhbHQxMjM0NTY3OA$lSEJi66ExrQaegsUbJsC62YnVaD5o0Pe7WEZzX7fqCo"
    ),
    "argon2i 1.0 without its version": (
        "$argon2i$m=64,t=1,p=1$c2FsdHNhbHQxMjM0NTY3OA$lSEJi66ExrQaegsUbJsC62YnVaD5o0Pe7WEZzX7fqCo"
    ),
    "bcrypt 2b": "$2b$04$WC8J4yl/I0XKOxArOy48IuIBQqmyGX9fEjp6Tc4oVpOlVEEdJ9L8a",
    "bcrypt 2a": "$2a$04$WC8J4yl/I0XKOxArOy48IuIBQqmyGX9fEjp6Tc4oVpOlVEEdJ9L8a",
    "bcrypt 2y": "$2y$04$WC8J4yl/I0XKOxArOy48IuIBQqmyGX9fEjp6Tc4oVpOlVEEdJ9L8a",
    # Written salt:key; crypto.scrypt was given the text of the salt.
    "better-auth": (
        "scrypt:1024:16:1$00112233445566778899aabbccddeeff$4510180288eecf3004095adc414c5767c20d9ee6a0d31a378b88b29d"
        "586a06269b2d43ed85ae8faa4967246d31c7282a5841737a583efba18ebd3d78fcf04ca8"
    ),
    # crypto.scrypt was given the bytes of the salt.
    "node scrypt": (
        "$scrypt$ln=10,r=8,p=1$ABEiM0RVZneImaq7zN3u/w$Rs5bwdcG8pS/l/cLJiQXx1l8+PjUbi7wv4k1lsXQh4c0p8gd9Q49DbRvH32"
        "/tlDvpsLJab27NcW1OTXkeim79g"
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_others_wrote(name: str) -> None:
    stored = imported(WRITTEN[name], FAST)
    assert stored.startswith("$")
    assert 20 <= len(stored) <= 255
    assert stored.isascii()
    assert imported(stored, FAST) == stored, "what is stored is in the one form"
    assert check(stored, SECRET, FAST)
    for wrong in (SECRET[:-1], SECRET + "x", "", "x" * 2000):
        assert not check(stored, wrong, FAST)
    assert is_outdated(stored, FAST)
    if WRITTEN[name].startswith("$"):
        assert check(WRITTEN[name], SECRET, FAST), "one that a DBA copied into the table is checked too"


def test_what_they_wrote_is_what_it_says() -> None:
    """Computed once more, without the code that is tested."""
    secret = SECRET.encode()

    def pbkdf2(name: str, salt: bytes, rounds: int = 1200) -> bytes:
        return hashlib.pbkdf2_hmac(name, secret, salt, rounds)

    def scrypt(salt: bytes, length: int = 64, r: int = 8) -> bytes:
        return hashlib.scrypt(secret, salt=salt, n=1024, r=r, p=1, dklen=length)

    def last(name: str) -> str:
        return WRITTEN[name].rpartition("$")[2]

    def decoded(text: str) -> bytes:
        return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4))

    assert decoded(last("django pbkdf2")) == pbkdf2("sha256", b"saltsaltsalt")
    assert decoded(last("django scrypt")) == scrypt(b"saltsaltsalt")
    assert bytes.fromhex(last("werkzeug scrypt")) == scrypt(b"unuowSYZvChyw034")
    assert bytes.fromhex(last("werkzeug pbkdf2 sha256")) == pbkdf2("sha256", b"05BKfUauynVOTOXr")
    assert bytes.fromhex(last("werkzeug pbkdf2 sha512")) == pbkdf2("sha512", b"CmWud43hCukEib3z")
    assert decoded(last("passlib scrypt")) == scrypt(decoded("hVAKQaj1Puf8X2stBYAwpg"), 32)
    assert decoded(last("passlib pbkdf2 sha256")) == pbkdf2("sha256", decoded("8f6fM6Z0TinFeA.BsHbOuQ"))
    assert decoded(last("passlib pbkdf2 sha512")) == pbkdf2("sha512", decoded("iHHOOcf4f6/VGkNojZHy3g"))
    assert bytes.fromhex(last("better-auth")) == scrypt(b"00112233445566778899aabbccddeeff", r=16)
    assert decoded(last("node scrypt")) == scrypt(bytes.fromhex("00112233445566778899aabbccddeeff"))
    for name in ("bcrypt 2b", "bcrypt 2a", "bcrypt 2y"):
        assert bcrypt.checkpw(secret, WRITTEN[name].encode())
    kinds = {"argon2id": argon2.Type.ID, "argon2i": argon2.Type.I, "argon2d": argon2.Type.D}
    for name, kind in kinds.items():
        assert argon2.low_level.verify_secret(WRITTEN[name].encode(), secret, kind)


@pytest.mark.parametrize(
    ("text", "password"),
    [
        # RFC 7914, sections 11 and 12.
        (
            (
                "pbkdf2:sha256:80000$NaCl$4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
                "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"
            ),
            "Password",
        ),
        (
            (
                "scrypt:1024:8:16$NaCl$fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
            ),
            "password",
        ),
        # The first of passlib's documentation on each.
        (
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
            "password",
        ),
        (
            "$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M",
            "password",
        ),
        ("$2a$12$NT0I31Sa7ihGEWpka9ASYrEFkhuTNeBQ2xfZskIiiJeyFXhRgS.Sy", "password"),
    ],
)
def test_published_vectors(text: str, password: str) -> None:
    assert check(imported(text, FAST), password, FAST)


def test_stored_forms() -> None:
    assert imported(WRITTEN["django pbkdf2"], FAST) == (
        "$pbkdf2-sha256$i=1200,l=32$c2FsdHNhbHRzYWx0$favG9DgbGREoevFP9EMnFIyMykFf84OogZ8V6DnYk70"
    )
    assert imported(WRITTEN["werkzeug scrypt"], FAST).startswith(
        "$scrypt$ln=10,r=8,p=1$dW51b3dTWVp2Q2h5dzAzNA$"
    )
    assert imported(WRITTEN["passlib scrypt"], FAST) == WRITTEN["passlib scrypt"]
    assert imported(WRITTEN["django argon2"], FAST) == WRITTEN["django argon2"].removeprefix("argon2")
    assert imported(WRITTEN["django bcrypt"], FAST) == WRITTEN["django bcrypt"].removeprefix("bcrypt$")
    for name in ("bcrypt 2a", "bcrypt 2b", "bcrypt 2y", "argon2id", "argon2i", "argon2d"):
        assert imported(WRITTEN[name], FAST) == WRITTEN[name]


def test_bcrypt_goes_by_72_bytes() -> None:
    long = "x" * 71 + "é and more"
    stored = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    assert check(stored, long, FAST)
    assert check(stored, "x" * 71 + "é and something else", FAST)
    assert not check(stored, "x" * 72, FAST)
    assert not check(stored, "x" * 71, FAST)
    renewed = hash_password(long, FAST)
    assert not check(renewed, "x" * 71 + "é and something else", FAST), (
        "what it is renewed by has no such end"
    )
    for odd in ("\0", "x\0y", "🐘" * 300):
        assert not check(stored, odd, FAST)


def test_bcrypt_with_bits_that_mean_nothing() -> None:
    stored = WRITTEN["bcrypt 2b"]
    assert stored[28] == "u"
    for spare in ("v", "w", "9"):
        assert imported(stored[:28] + spare + stored[29:], FAST) == stored
    assert imported(stored[:-1] + "b", FAST) == stored


REFUSED = {
    "empty": "",
    "plain": SECRET,
    "md5": "5f4dcc3b5aa765d61d8327deb882cf99",
    "sha1": "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
    "sha256": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
    "django md5": "md5$saltsalt$d6c097ed13acfb82ffc90f610ffa3eda",
    "django pbkdf2 sha1": "pbkdf2_sha1$1200$saltsaltsalt$Mls7lbKQs07WY5lDU6NSjO+3fqs=",
    "django bcrypt sha256": "bcrypt_sha256$$2b$04$5fpbUvh2JKJth5lYKj3ggOoaeRngdOhGqKS26KIGyeDcZw9OVe.BO",
    "django unusable": "!4Gq0s9Nke5MRHctCtHLnXE3gb6pHqSMamXsVqnKv",
    "passlib pbkdf2 sha1": "$pbkdf2$1200$NiYkJCSklHIOwdgbgzDGmA$FZBKNibkAtk2LqDP8Jwlw3YpBbI",
    "werkzeug without iterations": "pbkdf2:sha256$05BKfUauynVOTOXr$dff18b0aa98248afe0a06d33144113af",
    "md5 crypt": "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
    "sha512 crypt": "$6$saltsalt$" + "x" * 86,
    "bcrypt 2x": "$2x" + WRITTEN["bcrypt 2b"][3:],
    "bcrypt 2": "$2" + WRITTEN["bcrypt 2b"][3:],
    "bcrypt short": WRITTEN["bcrypt 2b"][:-1],
    "bcrypt long": WRITTEN["bcrypt 2b"] + "a",
    "bcrypt line": WRITTEN["bcrypt 2b"] + "\n",
    "bcrypt cost 03": "$2b$03" + WRITTEN["bcrypt 2b"][6:],
    "bcrypt cost 17": "$2b$17" + WRITTEN["bcrypt 2b"][6:],
    "bcrypt cost 31": "$2b$31" + WRITTEN["bcrypt 2b"][6:],
    "bcrypt digits": "$2b$\u0661\u0662" + WRITTEN["bcrypt 2b"][6:],
    "scrypt N 2^9": WRITTEN["passlib scrypt"].replace("ln=10", "ln=9"),
    "scrypt 2 GiB": WRITTEN["passlib scrypt"].replace("ln=10", "ln=21"),
    "scrypt 2^9999999999": WRITTEN["passlib scrypt"].replace("ln=10", "ln=9999999999"),
    "scrypt r": WRITTEN["passlib scrypt"].replace("r=8", "r=9999999999"),
    "scrypt r 0": WRITTEN["passlib scrypt"].replace("r=8", "r=0"),
    "scrypt p": WRITTEN["passlib scrypt"].replace("p=1", "p=2049"),
    "scrypt N for r=1": WRITTEN["passlib scrypt"].replace("ln=10,r=8", "ln=16,r=1"),
    "scrypt N no power of two": WRITTEN["werkzeug scrypt"].replace("1024", "1025"),
    "scrypt N zero-padded": WRITTEN["werkzeug scrypt"].replace("1024", "01024"),
    "scrypt odd hexadecimal": WRITTEN["werkzeug scrypt"][:-1],
    "scrypt base64 with spare bits": WRITTEN["passlib scrypt"][:-1] + "J",
    "scrypt base64 of no length": WRITTEN["passlib scrypt"] + "AA",
    "scrypt salt of 3 bytes": "$scrypt$ln=10,r=8,p=1$AAAA$Ym7wG4k+GIkLtkjMRQCBFaFCnjfj3flv4rAau8DOwjI",
    "scrypt salt of 65": f"scrypt:1024:8:1${'s' * 65}${'00' * 64}",
    "scrypt digest of 15": f"scrypt:1024:8:1${'s' * 16}${'00' * 15}",
    "scrypt digest of 65": f"scrypt:1024:8:1${'s' * 16}${'00' * 65}",
    "scrypt salt beyond ASCII": f"scrypt:1024:8:1${'é' * 16}${'00' * 64}",
    "scrypt salt of a surrogate": f"scrypt:1024:8:1${chr(0xD800) * 16}${'00' * 64}",
    "pbkdf2 999 iterations": WRITTEN["django pbkdf2"].replace("$1200$", "$999$"),
    "pbkdf2 10,000,001": WRITTEN["django pbkdf2"].replace("$1200$", "$10000001$"),
    "pbkdf2 of another length": (
        "$pbkdf2-sha256$i=1200,l=31$c2FsdHNhbHRzYWx0$favG9DgbGREoevFP9EMnFIyMykFf84OogZ8V6DnYk70"
    ),
    "argon2 4 GiB": WRITTEN["argon2id"].replace("m=64", "m=4194304"),
    "argon2 1 GiB and 1 KiB": WRITTEN["argon2id"].replace("m=64", "m=1048577"),
    "argon2 too many passes": WRITTEN["argon2id"].replace("m=64,t=1", "m=1048576,t=5"),
    "argon2 4294967295 passes": WRITTEN["argon2id"].replace("t=1", "t=4294967295"),
    "argon2 lanes": WRITTEN["argon2id"].replace("m=64,t=1,p=1", "m=1024,t=1,p=65"),
    "argon2 too little for its lanes": WRITTEN["argon2id"].replace("m=64,t=1,p=1", "m=64,t=1,p=9"),
    "argon2 version": WRITTEN["argon2id"].replace("v=19", "v=18"),
    "argon2 keyid": WRITTEN["argon2id"].replace("p=1", "p=1,keyid=AAAA"),
    "argon2 order": WRITTEN["argon2id"].replace("m=64,t=1", "t=1,m=64"),
    "argon2 salt of 7 bytes": WRITTEN["argon2id"].replace("FIIwhlDqXQuhtNaac47RGg", "AAAAAAAAAA"),
    "argon2 digest of 11": "$argon2id$v=19$m=64,t=1,p=1$FIIwhlDqXQuhtNaac47RGg$AAAAAAAAAAAAAAA",
    "argon2 spare bits": WRITTEN["argon2id"][:-1] + "J",
    "argon2ds": WRITTEN["argon2id"].replace("argon2id", "argon2ds"),
    "long": "$" + "x" * 10_000_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^the hash is not taken: ") as raised:
        imported(REFUSED[name], FAST)
    assert len(str(raised.value)) < 250
    for part in REFUSED[name].split("$"):
        assert len(part) < 12 or part not in str(raised.value), "the value is not repeated"


@pytest.mark.parametrize("value", [None, 5, b"$2b$04$", ["x"], object()])
def test_refused_because_it_is_no_string(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^the hash is not taken: "):
        imported(value, FAST)


def test_bounds_of_costs_are_within() -> None:
    """What others use at most is taken: libsodium's sensitive argon2id, scrypt of a gigabyte, bcrypt 16."""
    assert imported(WRITTEN["argon2id"].replace("m=64,t=1", "m=1048576,t=4"), FAST)
    assert imported(WRITTEN["passlib scrypt"].replace("ln=10", "ln=20"), FAST)
    assert imported("$2b$16" + WRITTEN["bcrypt 2b"][6:], FAST)
    assert imported(WRITTEN["django pbkdf2"].replace("$1200$", "$10000000$"), FAST)
    high = WRITTEN["argon2id"].replace("m=64,t=1,p=1", "m=2097152,t=1,p=4")
    with pytest.raises(InvalidInput):
        imported(high, FAST)
    assert imported(high, replace(FAST, argon2=RFC_9106_HIGH_MEMORY)), "what the policy itself costs is taken"


def test_bounds_hold_at_a_check_too() -> None:
    for name in ("bcrypt cost 31", "scrypt 2 GiB", "pbkdf2 10,000,001"):
        with pytest.raises(UnknownHash):
            check(REFUSED[name], SECRET, FAST)


def test_repr_shows_no_hash() -> None:
    for text in WRITTEN.values():
        if found := parse(text):
            assert found.stored.rpartition("$")[2] not in repr(found)


@pytest.mark.parametrize("name", ["bcrypt 2b", "django bcrypt"])
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(ImportError, match=r"authsql\[passwords\]"):
        imported(WRITTEN[name], FAST)
    with pytest.raises(ImportError, match=r"authsql\[passwords\]"):
        check(WRITTEN["bcrypt 2b"], SECRET, FAST)
    assert check(imported(WRITTEN["django pbkdf2"], FAST), SECRET, FAST), "the others do without it"


def test_the_extra_is_not_imported_before_it_is_needed() -> None:
    script = "import sys, authsql; sys.exit(bool({'bcrypt', 'zxcvbn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


@given(st.data())
def test_whatever_is_taken_can_be_checked(data: st.DataObject) -> None:
    """Strings that are almost right: refused, or stored in a form that is checked without an error."""
    text = data.draw(st.sampled_from(sorted(WRITTEN.values())))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        put = data.draw(
            st.one_of(st.sampled_from(["", "$", "=", "+", ".", "/", "A", "1", ",", ":"]), st.characters())
        )
        text = text[:at] + put + text[at + data.draw(st.integers(0, 2)) :]
    try:
        stored = imported(text, FAST)
    except InvalidInput:
        return
    assert stored.startswith("$")
    assert 20 <= len(stored) <= 255
    assert imported(stored, FAST) == stored
    if costs_little(stored):
        check(stored, SECRET, FAST)


def costs_little(stored: str) -> bool:
    match parse(stored):
        case foreign.Bcrypt(cost=cost):
            return cost < 8
        case foreign.Scrypt(log_n=log_n, r=r, p=p):
            return r * p << log_n < 2**18
        case foreign.Pbkdf2(iterations=iterations):
            return iterations < 100_000
        case _:
            costs = dict(each.split("=") for each in stored.replace("$", ",").split(",") if each[1:2] == "=")
            return int(costs["m"]) * int(costs["t"]) < 2**17


@given(st.text(max_size=300))
def test_whatever_is_typed(text: str) -> None:
    with pytest.raises(InvalidInput):
        imported(text, FAST)
