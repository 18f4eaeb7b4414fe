"""After a full life of an account none of its secrets is in the database, in any spelling."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from secrets import token_bytes, token_hex
from smtplib import SMTPDataError
from typing import Any
from uuid import UUID

import bcrypt
import pytest

from authsql import (
    Code,
    Delivery,
    IssuedCode,
    Link,
    NewDevice,
    PasskeyChallenge,
    PendingSignUp,
    Pepper,
    ProviderTokens,
    RecoveryCodes,
    RelyingParty,
    RotatedToken,
    TotpEnrollment,
    VerifiedCode,
    VerifiedPasskey,
    VerifiedPassword,
    access_tokens,
    accounts,
    audit,
    devices,
    identities,
    otps,
    outbox,
    passkeys,
    passwords,
    rate_limits,
    recovery_codes,
    refresh_tokens,
    roles,
    sessions,
    totp,
    users,
)
from authsql.errors import InvalidInput
from authsql.keyring import Keyring
from authsql.models import NewSession, RefreshToken, User
from tests.conformance.authenticator import ORIGIN, Authenticator, decode
from tests.servers import Database, SyncConnection
from tests.support import FAST, MINUTE, Sql, other_than, token_parts, with_policy

RING_KEYS = {
    "2026": b"an older encryption key is known",
    "2027": b"another encryption key is known ",
}
KEY = b"a key that is known to this test alone 0123456789"
PASSWORDS = ("Tr0ub4dor&3 is known", "c0rrect-h0rse is known", "wr0ng guess is known")
PEPPER = b"a pepper that is known to this test alone 0123456"
PEPPERED = with_policy(pepper=Pepper({"2026": PEPPER}, "2026"))
MAIL_KEY = bytes(range(200, 232))
# So long that it is in the database by accident in no test run.
POLICY = with_policy(code_digits=12, totp_drift_steps=2)


def spellings(secret: bytes) -> Iterator[bytes]:
    yield secret
    for case in (secret.hex(), secret.hex().upper(), repr(secret)[2:-1]):
        yield case.encode()
    # A secret within base64 may begin at each of three places; what the neighbours touch is left out.
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(shift) + secret)
            yield encoded[4 : len(encoded) - 4] if len(secret) > 12 else encoded.rstrip(b"=")


def everything(sql: Sql) -> bytes:
    """Each value of each table, as it is stored and as text."""
    found: list[bytes] = []
    for table in sql.tables():
        for row in sql(f"SELECT * FROM {table}"):
            for value in row:
                if isinstance(value, bytes | bytearray | memoryview):
                    found += [bytes(value), bytes(value).hex().encode()]
                else:
                    found += [str(value).encode(), repr(value).encode()]
    return b"\n".join(found)


def life(sql: Sql, conn: SyncConnection) -> tuple[list[Any], dict[str, bytes]]:
    """Do everything that there is to do. Returns all results, and all secrets by name."""
    results: list[Any] = []
    secrets: dict[str, bytes] = {"key": KEY}

    def keep(result: Any) -> Any:
        results.append(result)
        return result

    def remember(name: str, token: str) -> None:
        secrets[name] = token.encode()
        secrets[f"body of {name}"] = token.partition("_")[2].encode()
        for number, part in enumerate(token_parts(token)[2]):
            secrets[f"part {number} of {name}"] = part

    for number, password in enumerate(PASSWORDS):
        secrets[f"password {number}"] = password.encode()
    user = keep(users.create(conn, "ann@example.org", name="Ann", avatar={"url": "x"}))
    keep(passwords.set(conn, user.id, PASSWORDS[0], policy=FAST))
    keep(passwords.verify(conn, user.email, PASSWORDS[2], policy=FAST))
    assert isinstance(keep(passwords.verify(conn, user.email, PASSWORDS[0], policy=FAST)), VerifiedPassword)
    assert keep(passwords.change(conn, user.id, PASSWORDS[0], PASSWORDS[1], policy=FAST))
    # A hash from elsewhere, and one under a pepper.
    moved = keep(users.create(conn, "bob@example.org"))
    made = bcrypt.hashpw(PASSWORDS[0].encode(), bcrypt.gensalt(4)).decode()
    assert keep(passwords.import_hash(conn, moved.id, made, policy=PEPPERED))
    for name, password in zip(("wrong", "right"), (PASSWORDS[2], PASSWORDS[0]), strict=True):
        secrets[f"HMAC of the {name} password"] = hmac.digest(PEPPER, password.encode(), "sha256")
        keep(passwords.verify(conn, moved.email, password, policy=PEPPERED))
    assert keep(passwords.change(conn, moved.id, PASSWORDS[0], PASSWORDS[1], policy=PEPPERED))
    secrets["pepper"] = PEPPER
    secrets["HMAC of the changed password"] = hmac.digest(PEPPER, PASSWORDS[1].encode(), "sha256")
    results.append(PEPPERED)
    for number, purpose in enumerate(sorted(POLICY.code_purposes)):
        issued = keep(otps.issue(conn, user.email, purpose, key=KEY, user_id=user.id, policy=POLICY))
        assert isinstance(issued, IssuedCode)
        secrets[f"code {number}"] = issued.code.encode()
        # Without the key a code could be guessed from these.
        for name in ("sha256", "sha1", "md5"):
            secrets[f"{name} of code {number}"] = hashlib.new(name, issued.code.encode()).digest()
        secrets[f"HMAC of code {number} alone"] = hmac.digest(KEY, issued.code.encode(), "sha256")
        wrong = "000000000000" if issued.code != "000000000000" else "000000000001"
        keep(otps.verify(conn, user.email, purpose, wrong, key=KEY, policy=POLICY))
        if number % 2:
            verified = keep(otps.verify(conn, user.email, purpose, issued.code, key=KEY, policy=POLICY))
            assert isinstance(verified, VerifiedCode)
    for number in range(3):
        opened = keep(sessions.create(conn, user.id, ip="192.0.2.1", user_agent="x", device="y", cap=3))
        assert isinstance(opened, NewSession)
        remember(f"session token {number}", opened.token)
        keep(sessions.validate(conn, opened.token))
        keep(sessions.validate(conn, opened.token, roles=True))
        first = keep(refresh_tokens.issue(conn, opened.session.id))
        assert isinstance(first, RefreshToken)
        remember(f"refresh token {number}", first.token)
        token = first.token
        for generation in range(3):
            rotated = keep(refresh_tokens.rotate(conn, token))
            assert isinstance(rotated, RotatedToken)
            remember(f"refresh token {number}, generation {generation}", rotated.token)
            assert keep(refresh_tokens.rotate(conn, token)).token == rotated.token
            token = rotated.token
        if number == 1:
            keep(refresh_tokens.rotate(conn, first.token))
        if number == 2:
            sql.elapse(2 * MINUTE)
            keep(sessions.validate(conn, opened.token))
            keep(sessions.validate(conn, opened.token[:-1] + "!"))
        if number == 0:
            elevated = keep(sessions.elevate(conn, opened.token, aal=2))
            assert isinstance(elevated, NewSession)
            remember("elevated session token", elevated.token)
    keep(sessions.list(conn, user.id))
    keep(roles.grant(conn, user.id, "admin"))
    keep(roles.list(conn))
    flows(conn, keep, remember, secrets)
    keep(audit.set_context(conn, actor_id=user.id, ip="192.0.2.1"))
    keep(audit.record(conn, "app.lived", user_id=user.id))
    assert len(keep(audit.list(conn, limit=1000))) > 20
    provider_tokens(conn, user.id, keep, secrets)
    mail_and_limits(conn, keep, secrets)
    more, of_factors = second_factors(sql, conn, user)
    return results + more, secrets | of_factors


def second_factors(sql: Sql, conn: SyncConnection, user: User) -> tuple[list[Any], dict[str, bytes]]:
    """Everything that there is to do with second factors. Returns all results, and all secrets by name."""
    results: list[Any] = []
    secrets: dict[str, bytes] = {f"ring {name}": key for name, key in RING_KEYS.items()}

    def keep(result: Any) -> Any:
        results.append(result)
        return result

    old, new = Keyring({"2026": RING_KEYS["2026"]}, "2026"), Keyring(RING_KEYS, "2027")
    for number in range(3):
        enrolled = keep(totp.enroll(conn, user.id, keyring=old, issuer="x", account="y"))
        assert isinstance(enrolled, TotpEnrollment)
        secrets[f"TOTP secret {number}"] = base64.b32decode(enrolled.secret)
        secrets[f"text of TOTP secret {number}"] = enrolled.secret.encode()
        if number:
            code = sql.code(enrolled.secret, -1)
            assert keep(totp.confirm(conn, user.id, enrolled.factor_id, code, keyring=old, policy=POLICY))
            assert keep(totp.verify(conn, user.id, sql.code(enrolled.secret, 1), keyring=new))
            keep(totp.verify(conn, user.id, sql.code(enrolled.secret, 1), keyring=new))
        if number == 1:
            assert keep(totp.reencrypt(conn, keyring=new)) == 2
    keep(totp.list(conn, user.id))
    made = keep(recovery_codes.regenerate(conn, user.id, key=KEY))
    assert isinstance(made, RecoveryCodes)
    codes = made.codes
    for number, code in enumerate(made):
        secrets[f"recovery code {number}"] = code.encode()
        secrets[f"letters of recovery code {number}"] = plain = code.replace("-", "").encode()
        secrets[f"sha256 of recovery code {number}"] = hashlib.sha256(plain).digest()
        secrets[f"HMAC of recovery code {number} alone"] = hmac.digest(KEY, plain, "sha256")
    assert keep(recovery_codes.verify(conn, user.id, codes[0], key=KEY))
    keep(recovery_codes.verify(conn, user.id, codes[0], key=KEY))
    device = Authenticator()

    def ask(name: str, asked: Any) -> PasskeyChallenge:
        assert isinstance(asked, PasskeyChallenge)
        secrets[f"challenge of {name}"] = decode(json.loads(keep(asked).options)["challenge"])
        return asked

    party = RelyingParty("example.org", "Example", (ORIGIN,))
    asked = ask("registration", passkeys.begin_registration(conn, user.id, relying_party=party, account="x"))
    answer = device.create(asked.options)
    assert keep(passkeys.finish_registration(conn, user.id, asked.id, answer, relying_party=party))
    for number, owner in enumerate((user.id, None)):
        asked = ask(f"sign-in {number}", passkeys.begin_authentication(conn, owner, relying_party=party))
        answer = device.get(asked.options)
        secrets[f"signature {number}"] = decode(answer["response"]["signature"])
        proof = keep(passkeys.finish_authentication(conn, asked.id, answer, relying_party=party))
        assert isinstance(proof, VerifiedPasskey)
    keep(passkeys.list(conn, user.id))
    return results, secrets


def flows(
    conn: SyncConnection,
    keep: Callable[[Any], Any],
    remember: Callable[[str, str], None],
    secrets: dict[str, bytes],
) -> None:
    """Each flow by code and by link, each of them left open at the end, and a known device."""

    def proofs(name: str, email: str, issued: IssuedCode) -> tuple[Code, Link]:
        assert issued.link is not None
        secrets[f"code of {name}"] = issued.code.encode()
        secrets[f"sha256 of the code of {name}"] = hashlib.sha256(issued.code.encode()).digest()
        remember(f"link of {name}", issued.link)
        code = Code(email, issued.code, KEY, issued.issue_id)
        wrong = Code(email, other_than(issued.code), KEY, issued.issue_id)
        for each in (code, link := Link(issued.link, issued.issue_id), wrong):
            keep(each)
        secrets[f"wrong code of {name}"] = wrong.code.encode()
        return code, link

    def sign_up(number: int) -> tuple[Code, Link]:
        email = f"flow{number}@example.org"
        policy = with_policy(code_digits=12)
        pending = keep(accounts.sign_up(conn, email, PASSWORDS[0], key=KEY, link=True, policy=policy))
        assert isinstance(pending, PendingSignUp)
        return proofs(f"sign-up {number}", email, pending.issued)

    sign_up(0)
    assert keep(accounts.confirm_sign_up(conn, sign_up(2)[0], policy=POLICY))
    user = keep(accounts.confirm_sign_up(conn, sign_up(1)[1], policy=POLICY))
    for purpose, spend in (
        ("email-verification", lambda one: accounts.verify_email(conn, one, policy=POLICY)),
        ("signin", lambda one: accounts.sign_in(conn, one, policy=POLICY)),
        ("password-reset", lambda one: accounts.reset_password(conn, one, PASSWORDS[1], policy=POLICY)),
        ("email-change", lambda one: accounts.change_email(conn, user.id, one, policy=POLICY)),
    ):
        for number in range(2):
            email = "flow1@example.org" if purpose != "email-change" else f"new{number}@example.org"
            other = with_policy(code_digits=12, code_resend_after=timedelta(0))
            issued = keep(otps.issue(conn, email, purpose, key=KEY, user_id=user.id, link=True, policy=other))
            assert isinstance(issued, IssuedCode)
            assert keep(spend(proofs(f"{purpose} {number}", email, issued)[number]))
    made = keep(devices.remember(conn, user.id, name="x"))
    assert isinstance(made, NewDevice)
    remember("device token", made.token)
    for password in PASSWORDS[1:]:
        keep(passwords.verify(conn, "new1@example.org", password, device=made.token, policy=FAST))
    keep(devices.list(conn, user.id))


def provider_tokens(
    conn: SyncConnection, user_id: UUID, keep: Callable[[Any], Any], secrets: dict[str, bytes]
) -> None:
    """Keep what a provider gave, and try to keep it in clear."""
    keys = {name: token_bytes(32) for name in ("2025", "2026")}
    secrets |= {f"key of {name}": key for name, key in keys.items()}
    names = ("access_token", "refresh_token", "id_token")
    given = {name: f"{name}.{token_hex(12)}" for name in names}
    secrets |= {f"provider's {name}": token.encode() for name, token in given.items()}
    keep(identities.link(conn, user_id, "google", "1", email="ann@gmail.com", profile={"name": "Ann"}))
    for name, token in given.items():
        with pytest.raises(InvalidInput) as raised:
            identities.sign_in(conn, "google", "1", profile={name: token})
        keep(raised.value)
    for current in keys:
        keyring = keep(Keyring(keys, current))
        stored = identities.store_tokens(
            conn,
            "google",
            "1",
            keyring=keyring,
            access_token=given["access_token"],
            refresh_token=given["refresh_token"],
            id_token=given["id_token"],
            scopes="email",
        )
        assert keep(stored)
        assert isinstance(keep(identities.tokens(conn, "google", "1", keyring=keyring)), ProviderTokens)
    keep(identities.reencrypt_tokens(conn, keyring=Keyring(keys, "2025")))
    keep(identities.sign_in(conn, "google", "1"))
    keep(identities.list(conn, user_id))


def mail_and_limits(conn: SyncConnection, keep: Callable[[Any], Any], secrets: dict[str, bytes]) -> None:
    ring = Keyring({"2026": MAIL_KEY}, "2026")
    code, address = "161803398874", "ip:2001:db8::c0de"
    secrets["key of the mail"] = MAIL_KEY
    secrets |= {"code in a mail": code.encode(), "key of a limit": address.encode()}
    for _ in range(3):
        keep(rate_limits.hit(conn, address, limit=2, period=MINUTE, scope="signin"))
    keep(rate_limits.peek(conn, address, limit=2, period=MINUTE, scope="signin"))
    context = {"app": "Example", "code": code}
    for number in range(4):
        name = f"dedup key {number}"
        secrets[name] = name.encode()
        to = f"{number}@example.org"
        keep(outbox.enqueue(conn, to, "signin", context, keyring=ring, dedup_key=name))

    def send(message: EmailMessage) -> None:
        assert code in message.as_string()
        number = str(message["To"])[0]
        if number == "1":
            raise SMTPDataError(554, b"5.7.1 this says " + code.encode())
        if number == "2":
            raise RuntimeError(code)

    told: list[str] = []
    done = outbox.deliver(conn, send, sender="a@example.org", keyring=ring, batch=3, progress=told.append)
    assert keep(done) == Delivery(sent=1, postponed=1, failed=1)
    for each in (*told, *outbox.lease(conn)):
        keep(each)
    opened = sessions.create(conn, users.create(conn, "jwt@example.org").id)
    assert isinstance(opened, NewSession)
    signing = bytes(range(100, 140))
    keys = keep(access_tokens.AccessTokenKeys({"k": signing}, "k"))
    token = access_tokens.issue(opened, keys, issuer="https://x", audience="https://y")
    assert keep(access_tokens.verify(token, keys, issuer="https://x", audience="https://y"))
    secrets |= {"key of access tokens": signing, "access token": token.encode()}


def found_in(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    return [name for name, secret in secrets.items() if any(each in text for each in spellings(secret))]


def test_nothing_of_it_is_in_the_database(sql: Sql, database: Database) -> None:
    _, secrets = life(sql, database.connect())
    dump = everything(sql)
    assert b"ann@example.org" in dump
    assert found_in(dump, secrets) == []


def test_a_secret_would_be_found(sql: Sql, database: Database) -> None:
    """The test above can fail."""
    _, secrets = life(sql, database.connect())
    part = secrets["part 0 of session token 0"]
    sql("UPDATE authsql_sessions SET secret_hash = %s", part)
    assert found_in(everything(sql), secrets) == ["part 0 of session token 0"]
    sql("UPDATE authsql_sessions SET device = %s", secrets["body of refresh token 2"].decode()[-60:-20])
    sql("UPDATE authsql_users SET name = %s", "was " + PASSWORDS[1])
    assert "password 1" in found_in(everything(sql), secrets)
    sql(
        "UPDATE authsql_identities SET profile = %s",
        json.dumps({"a": secrets["provider's id_token"].decode()}),
    )
    assert "provider's id_token" in found_in(everything(sql), secrets)
    sql("UPDATE authsql_users SET name = %s", base64.b64encode(b"xy" + part).decode())
    assert "part 0 of session token 0" in found_in(everything(sql), secrets)


def test_what_the_database_keeps_of_a_secret(sql: Sql, database: Database) -> None:
    conn = database.connect()
    user = users.create(conn, "ann@example.org")
    opened = sessions.create(conn, user.id)
    assert isinstance(opened, NewSession)
    [secret] = token_parts(opened.token)[2]
    assert sql.one("SELECT secret_hash FROM authsql_sessions") == hashlib.sha256(secret).digest()


def test_a_totp_secret_would_be_found(sql: Sql, database: Database) -> None:
    _, secrets = life(sql, database.connect())
    secret = secrets["TOTP secret 1"]
    sql("UPDATE authsql_totp_factors SET secret = %s", bytes(20) + secret)
    assert "TOTP secret 1" in found_in(everything(sql), secrets)
    sql("UPDATE authsql_totp_factors SET name = %s", base64.b32encode(secret).decode())
    assert "text of TOTP secret 1" in found_in(everything(sql), secrets)


def test_nothing_of_it_is_shown_or_logged(
    sql: Sql, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("psycopg", "psycopg.pool", "mysql", "mysql.connector", "authsql"):
        caplog.set_level(logging.DEBUG, logger=name)
    results, secrets = life(sql, database.connect())
    shown = "\n".join(f"{result!r} {result!s}" for result in results).encode()
    logged = "\n".join([caplog.text, *(repr(record.__dict__) for record in caplog.records)]).encode()
    assert b"ann@example.org" in shown
    assert found_in(shown, secrets) == []
    assert found_in(logged, secrets) == []
