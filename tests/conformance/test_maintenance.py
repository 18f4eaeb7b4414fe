from __future__ import annotations

from datetime import timedelta

from authsql import (
    PasskeyChallenge,
    RelyingParty,
    TotpEnrollment,
    maintenance,
    otps,
    passkeys,
    refresh_tokens,
    sessions,
    totp,
)
from authsql.models import Backlog, Purged, User
from tests.conformance.conftest import Connect, SignIn
from tests.servers import Database, rows
from tests.support import DAY, FAST, HOUR, KEY, MINUTE, RING, SECOND, Api, Sql

PARTY = RelyingParty("example.org", "Example", ("https://example.org",))


def counts(
    otps: int, sessions: int, *, challenges: int = 0, enrolments: int = 0, batch: int = 10_000
) -> tuple[Purged, ...]:
    """What a purge answers that finds so many of them, and nothing else."""
    found = {
        "otps": otps,
        "sessions": sessions,
        "passkey_challenges": challenges,
        "totp_factors": enrolments,
    }
    return tuple(
        Purged(f"authsql_{table}", found.get(table, 0), found.get(table, 0) >= batch)
        for table in maintenance._TABLES
    )


async def backlog_of(api: Api, table: str) -> Backlog:
    """What is waiting in one table."""
    [found] = [each for each in await api(maintenance.backlog) if each.table_name == table]
    assert isinstance(found, Backlog)
    return found


async def test_nothing_to_purge(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    await sign_in()
    await api(otps.issue, "a@x.org", "signin", key=KEY)
    before = sql.dump()
    assert await api(maintenance.purge) == counts(0, 0)
    runs = "authsql_purge_runs"
    assert {**sql.dump(), runs: []} == {**before, runs: []}
    found = await api(maintenance.backlog)
    assert found == tuple(Backlog(each.table_name, 0, None, 0, each.last_run_at) for each in found)
    assert {each.table_name for each in found} >= {f"authsql_{table}" for table in maintenance._TABLES}


async def test_purge_of_sessions(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    token = (await api(refresh_tokens.issue, opened.session.id)).token
    await api(sessions.revoke, opened.session.id)
    sql.elapse(FAST.session_absolute - MINUTE)
    assert await api(maintenance.purge) == counts(0, 0), (
        "a revoked session is evidence until its absolute end"
    )
    later = await sign_in()
    sql.elapse(MINUTE)
    assert await api(maintenance.purge) == counts(0, 1)
    assert sql.one("SELECT COUNT(*) FROM authsql_refresh_tokens") == 0
    assert (await api(refresh_tokens.rotate, token)).reason == "unknown"
    assert await api(sessions.validate, later.token)


async def test_purge_of_codes(api: Api, sql: Sql) -> None:
    await api(otps.issue, "a@x.org", "signin", key=KEY)
    sql.elapse(FAST.code_lifetime)
    assert await api(maintenance.purge) == counts(0, 0), "the count of its window is still needed"
    sql.elapse(FAST.code_window - FAST.code_lifetime - 20 * SECOND)
    assert await api(maintenance.purge) == counts(0, 0)
    sql.elapse(20 * SECOND)
    assert await api(maintenance.purge) == counts(1, 0)


async def test_batch(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = [await sign_in() for _ in range(5)]
    for number in range(3):
        await api(otps.issue, f"{number}@x.org", "signin", key=KEY)
    sql.elapse(60 * DAY)
    oldest = opened[3].session.id
    sql.age("authsql_sessions", ("created_at", "expires_at", "absolute_expires_at"), DAY, id=oldest)
    assert await api(maintenance.purge, batch=1) == counts(1, 1, batch=1)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE id = %s", oldest) == 0, "the oldest first"
    assert await api(maintenance.purge, batch=2) == counts(2, 2, batch=2)
    assert await api(maintenance.purge, batch=2) == counts(0, 2, batch=2)
    assert await api(maintenance.purge, batch=2) == counts(0, 0, batch=2)


async def test_backlog(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    first = (await sign_in()).session
    await sign_in()
    await api(otps.issue, "a@x.org", "signin", key=KEY)
    sql.elapse(FAST.session_absolute + HOUR)
    found = {each.table_name: each for each in await api(maintenance.backlog)}
    codes, rows = found["authsql_otps"], found["authsql_sessions"]
    assert (codes.table_name, codes.expired_rows) == ("authsql_otps", 1)
    assert (rows.table_name, rows.expired_rows) == ("authsql_sessions", 2)
    expected = first.absolute_expires_at - FAST.session_absolute - HOUR
    assert rows.oldest_expired_at == expected
    assert isinstance(rows.lag_seconds, int)
    assert 3600 <= rows.lag_seconds < 3600 + 60
    assert codes.oldest_expired_at.utcoffset() == timedelta(0)
    await api(maintenance.purge)
    assert {each.expired_rows for each in await api(maintenance.backlog)} == {0}


async def test_last_run(api: Api, sql: Sql) -> None:
    await challenge(api)
    sql.elapse(DAY)
    for challenges in (1, 0):
        before = sql.one(f"SELECT {sql.now}")
        assert await api(maintenance.purge) == counts(0, 0, challenges=challenges)
        after = sql.one(f"SELECT {sql.now}")
        found = await api(maintenance.backlog)
        assert all(before <= each.last_run_at <= after for each in found), "also where nothing was deleted"
        asked = "SELECT deleted_rows FROM authsql_purge_runs WHERE table_name = 'authsql_passkey_challenges'"
        assert sql.one(asked) == challenges


async def test_two_purges_at_once(api: Api, sql: Sql, connect: Connect) -> None:
    other = await connect(autocommit=False)
    await other(maintenance.purge)
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 1")
    else:
        await api.sql("SET lock_timeout = '200ms'")
    assert await api(maintenance.purge) == counts(0, 0)
    await other.commit()
    assert all(each.last_run_at for each in await api(maintenance.backlog))


async def test_purge_waits_for_nobody(
    api: Api,
    sql: Sql,
    user: User,
    sign_in: SignIn,
    connect: Connect,
) -> None:
    held, free = await sign_in(), await sign_in()
    sql.elapse(60 * DAY)
    other = await connect(autocommit=False)
    key = sql.to_sql(held.session.id)
    await other.sql("SELECT id FROM authsql_sessions WHERE id = %s FOR UPDATE", key)
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 2")
    assert await api(maintenance.purge) == counts(0, 1)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE id = %s", free.session.id) == 0
    await other.rollback()
    assert await api(maintenance.purge) == counts(0, 1)


async def test_purge_of_codes_waits_for_nobody(api: Api, sql: Sql, database: Database) -> None:
    for subject in ("held@x.org", "free@x.org"):
        assert await api(otps.issue, subject, "signin", key=bytes(32))
    sql.elapse(DAY)
    other = database.connect(autocommit=False)
    rows(other, "SELECT subject FROM authsql_otps WHERE subject = %s FOR UPDATE", ("held@x.org",))
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 2")
    assert await api(maintenance.purge) == counts(1, 0)
    assert sql.one("SELECT subject FROM authsql_otps") == "held@x.org"
    other.rollback()
    assert await api(maintenance.purge) == counts(1, 0)


async def enroll(api: Api, user: User) -> TotpEnrollment:
    enrolled = await api(totp.enroll, user.id, keyring=RING, issuer="x", account="y")
    assert isinstance(enrolled, TotpEnrollment)
    return enrolled


async def challenge(api: Api) -> PasskeyChallenge:
    asked = await api(passkeys.begin_authentication, relying_party=PARTY)
    assert isinstance(asked, PasskeyChallenge)
    return asked


async def test_purge_of_enrolments(api: Api, sql: Sql, user: User) -> None:
    confirmed = await enroll(api, user)
    code = sql.code(confirmed.secret)
    assert await api(totp.confirm, user.id, confirmed.factor_id, code, keyring=RING)
    for _ in range(3):
        await enroll(api, user)
    sql.elapse(FAST.totp_enrollment_lifetime - 20 * SECOND)
    assert await api(maintenance.purge) == counts(0, 0)
    sql.elapse(20 * SECOND)
    found = await backlog_of(api, "authsql_totp_factors")
    assert found.expired_rows == 3
    assert found.oldest_expired_at == sql.one("SELECT MIN(expires_at) FROM authsql_totp_factors")
    assert await api(maintenance.purge, batch=2) == counts(0, 0, enrolments=2, batch=2)
    assert await api(maintenance.purge, batch=2) == counts(0, 0, enrolments=1, batch=2)
    sql.elapse(10_000 * DAY)
    assert await api(maintenance.purge) == counts(0, 0)
    assert [each.id for each in await api(totp.list, user.id)] == [confirmed.factor_id]
    assert (await backlog_of(api, "authsql_totp_factors")).expired_rows == 0


async def test_purge_of_challenges(api: Api, sql: Sql) -> None:
    for _ in range(3):
        await challenge(api)
    sql("UPDATE authsql_passkey_challenges SET spent_at = created_at")
    sql.elapse(FAST.passkey_challenge_lifetime - 20 * SECOND)
    assert await api(maintenance.purge) == counts(0, 0), "one that is spent is told from one that never was"
    sql.elapse(20 * SECOND)
    found = await backlog_of(api, "authsql_passkey_challenges")
    assert found.expired_rows == 3
    assert found.oldest_expired_at == sql.one("SELECT MIN(expires_at) FROM authsql_passkey_challenges")
    assert 0 <= found.lag_seconds < 20
    assert await api(maintenance.purge, batch=2) == counts(0, 0, challenges=2, batch=2)
    assert await api(maintenance.purge, batch=2) == counts(0, 0, challenges=1, batch=2)
    assert (await backlog_of(api, "authsql_passkey_challenges")).expired_rows == 0


async def test_purge_of_factors_waits_for_nobody(api: Api, sql: Sql, user: User, database: Database) -> None:
    held, asked = await enroll(api, user), await challenge(api)
    await enroll(api, user)
    await challenge(api)
    sql.elapse(DAY)
    other = database.connect(autocommit=False)
    for table, key in (("totp_factors", held.factor_id), ("passkey_challenges", asked.id)):
        rows(other, f"SELECT id FROM authsql_{table} WHERE id = %s FOR UPDATE", (sql.to_sql(key),))
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 2")
    assert await api(maintenance.purge) == counts(0, 0, challenges=1, enrolments=1)
    other.rollback()
    assert await api(maintenance.purge) == counts(0, 0, challenges=1, enrolments=1)
