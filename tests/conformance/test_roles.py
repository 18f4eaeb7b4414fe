from __future__ import annotations

import inspect
from uuid import UUID, uuid4

import pytest

from authsql import (
    InvalidInput,
    NewSession,
    Reason,
    Role,
    UnknownRole,
    UserNotFound,
    accounts,
    devices,
    identities,
    otps,
    passwords,
    roles,
    sessions,
    users,
)
from authsql.models import User
from tests.conformance.conftest import NewUser, SignIn
from tests.support import DAY, FAST, HOUR, Api, Sql, refused

READ = "invoices:read"


@pytest.fixture
async def editor(api: Api) -> str:
    """A role that allows to read invoices."""
    assert await api(roles.create, "editor", description="Edits.")
    assert await api(roles.allow, "editor", READ)
    return "editor"


async def answers(api: Api, user_id: UUID, role: str = "editor", permission: str = READ) -> tuple[bool, bool]:
    return (
        await api(roles.has_role, user_id, role),
        await api(roles.has_permission, user_id, permission),
    )


async def test_roles_that_come_with_it(api: Api) -> None:
    listed = await api(roles.list)
    assert isinstance(listed, tuple)
    assert all(isinstance(each, Role) for each in listed)
    assert [(each.name, each.is_default, each.permissions) for each in listed] == [
        ("admin", False, ()),
        ("user", True, ()),
    ]
    assert listed[0].created_at.tzinfo is not None


async def test_create(api: Api) -> None:
    assert await api(roles.create, "editor", description="Edits what others wrote.") is True
    assert await api(roles.create, "guest", default=True) is True
    _, editor, guest, _ = await api(roles.list)
    assert (editor.name, editor.description, editor.is_default) == (
        "editor",
        "Edits what others wrote.",
        False,
    )
    assert (guest.name, guest.description, guest.is_default) == ("guest", "", True)


async def test_create_again_changes_nothing(api: Api, sql: Sql, editor: str) -> None:
    before = sql.dump()
    assert await api(roles.create, editor, description="Other words.", default=True) is False
    assert sql.dump() == before


async def test_list_has_the_permissions_in_order(api: Api, editor: str) -> None:
    for permission in ("z", "invoices:write", "a.b-c_d:e"):
        assert await api(roles.allow, editor, permission)
    assert await api(roles.allow, "admin", "z")
    assert {each.name: each.permissions for each in await api(roles.list)} == {
        "admin": ("z",),
        "editor": ("a.b-c_d:e", READ, "invoices:write", "z"),
        "user": (),
    }


async def test_delete(api: Api, sql: Sql, user: User, editor: str) -> None:
    await api(roles.grant, user.id, editor)
    assert await api(roles.delete, editor) is True
    assert await api(roles.delete, editor) is False
    assert [each.name for each in await api(roles.list)] == ["admin", "user"]
    assert sql.one("SELECT COUNT(*) FROM authsql_role_permissions") == 0
    assert await api(roles.of_user, user.id) == ("user",)
    assert await answers(api, user.id) == (False, False)


async def test_grant_and_revoke(api: Api, user: User, new_user: NewUser, editor: str) -> None:
    other = await new_user()
    assert await answers(api, user.id) == (False, False)
    assert await api(roles.grant, user.id, editor) is True
    assert await api(roles.grant, user.id, editor) is False
    assert await answers(api, user.id) == (True, True)
    assert await api(roles.of_user, user.id) == ("editor", "user")
    assert await api(roles.permissions_of, user.id) == (READ,)
    assert await answers(api, other.id) == (False, False)
    assert await api(roles.of_user, other.id) == ("user",)
    assert await api(roles.permissions_of, other.id) == ()
    assert await api(roles.revoke, user.id, editor) is True
    assert await api(roles.revoke, user.id, editor) is False
    assert await answers(api, user.id) == (False, False)


async def test_grant_again_changes_nothing(api: Api, sql: Sql, user: User, editor: str) -> None:
    await api(roles.grant, user.id, editor)
    before = sql.dump()
    assert await api(roles.grant, user.id, editor) is False
    assert await api(roles.allow, editor, READ) is False
    assert sql.dump() == before


async def test_allow_and_disallow(api: Api, user: User, editor: str) -> None:
    await api(roles.grant, user.id, editor)
    assert await api(roles.allow, editor, "invoices:write") is True
    assert await api(roles.allow, editor, "invoices:write") is False
    assert await api(roles.permissions_of, user.id) == (READ, "invoices:write")
    assert await api(roles.disallow, editor, READ) is True
    assert await api(roles.disallow, editor, READ) is False
    assert await answers(api, user.id) == (True, False)
    assert await api(roles.has_permission, user.id, "invoices:write") is True


async def test_permission_by_two_roles(api: Api, user: User, editor: str) -> None:
    await api(roles.allow, "user", READ)
    await api(roles.grant, user.id, editor)
    assert await api(roles.permissions_of, user.id) == (READ,)
    await api(roles.revoke, user.id, editor)
    assert await answers(api, user.id) == (False, True)


async def test_user_who_is_not_there(api: Api, sql: Sql, editor: str) -> None:
    before = sql.dump()
    with pytest.raises(UserNotFound):
        await api(roles.grant, uuid4(), editor)
    assert await api(roles.revoke, uuid4(), editor) is False
    assert await answers(api, uuid4()) == (False, False)
    assert await api(roles.of_user, uuid4()) == await api(roles.permissions_of, uuid4()) == ()
    assert sql.dump() == before


async def test_role_that_is_not_there(api: Api, sql: Sql, user: User) -> None:
    before = sql.dump()
    for work in ((roles.grant, user.id, "nobody"), (roles.allow, "nobody", READ)):
        with pytest.raises(UnknownRole) as raised:
            await api(*work)
        assert raised.value.__cause__ is not None
        assert not api.in_transaction
    assert await api(roles.revoke, user.id, "nobody") is False
    assert await api(roles.disallow, "nobody", READ) is False
    assert await api(roles.delete, "nobody") is False
    assert await answers(api, user.id, "nobody", "nothing") == (False, False)
    assert sql.dump() == before


async def test_neither_is_there(api: Api, sql: Sql) -> None:
    with pytest.raises((UserNotFound, UnknownRole)):
        await api(roles.grant, uuid4(), "nobody")


async def test_what_is_there_leaves_the_transaction_usable(api: Api, user: User, editor: str) -> None:
    await api(roles.grant, user.id, editor)
    await api.begin()
    assert await api(roles.create, "first") is True
    for work in ((roles.create, editor), (roles.grant, user.id, editor), (roles.allow, editor, READ)):
        assert await api(*work) is False
        assert api.in_transaction
    assert await api(roles.create, "second") is True
    await api.commit()
    assert {"first", "second"} < {each.name for each in await api(roles.list)}


async def test_soft_deleted_user_has_neither_roles_nor_permissions(
    api: Api, sql: Sql, user: User, editor: str
) -> None:
    await api(roles.grant, user.id, editor)
    await api(users.soft_delete, user.id)
    assert await answers(api, user.id) == (False, False)
    assert await api(roles.of_user, user.id) == await api(roles.permissions_of, user.id) == ()
    assert await api(roles.grant, user.id, "admin") is True
    assert await answers(api, user.id, "admin") == (False, False)
    assert sql.one("SELECT COUNT(*) FROM authsql_user_permissions") == 0
    sql.elapse(2 * DAY)
    assert await api(users.reactivate, user.id)
    assert await answers(api, user.id) == (True, True)
    assert await api(roles.of_user, user.id) == ("admin", "editor", "user")


async def test_deleted_user_leaves_no_grant(api: Api, sql: Sql, user: User, editor: str) -> None:
    await api(roles.grant, user.id, editor)
    await api(users.delete, user.id)
    assert sql.one("SELECT COUNT(*) FROM authsql_user_roles") == 0


async def test_default_role_is_for_those_who_come(api: Api, user: User, new_user: NewUser) -> None:
    assert await api(roles.create, "guest", default=True)
    assert await api(roles.of_user, user.id) == ("user",)
    assert await api(roles.of_user, (await new_user()).id) == ("guest", "user")


async def test_change_takes_effect_at_once(api: Api, user: User, sign_in: SignIn, editor: str) -> None:
    """For a session that is open already, too (ASVS 8.3.2)."""
    token = (await sign_in()).token

    async def seen() -> tuple[bool, bool, frozenset[str], frozenset[str]]:
        session = await api(sessions.validate, token, roles=True)
        return (*await answers(api, user.id), session.roles, session.permissions)

    none, user_only = frozenset[str](), frozenset({"user"})
    both, read = frozenset({"user", editor}), frozenset({READ})
    assert await seen() == (False, False, user_only, none)
    await api(roles.grant, user.id, editor)
    assert await seen() == (True, True, both, read)
    await api(roles.disallow, editor, READ)
    assert await seen() == (True, False, both, none)
    await api(roles.allow, editor, READ)
    await api(roles.revoke, user.id, editor)
    assert await seen() == (False, False, user_only, none)
    await api(roles.grant, user.id, editor)
    await api(roles.delete, editor)
    assert await seen() == (False, False, user_only, none)


async def test_role_is_never_taken_from_sign_up_data(api: Api, sql: Sql) -> None:
    """Whatever a request for an account says, and wherever it says so: the default roles and no other."""
    claim = {"role": "admin", "roles": ["admin"], "is_admin": True, "permissions": ["*"]}
    for name in ("role", "roles", "is_admin", "permissions", "default"):
        with pytest.raises(TypeError):
            await api(users.create, "eve@x.org", **{name: "admin"})
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0
    eve = await api(users.create, "admin@x.org", name="admin", avatar=claim, email_verified=True)
    await api(users.update_profile, eve.id, name="admin", avatar=claim)
    assert await api(passwords.set, eve.id, "admin admin admin", policy=FAST)
    opened = await api(sessions.create, eve.id, device="admin", user_agent="role: admin")
    assert isinstance(opened, NewSession)
    assert await api(roles.of_user, eve.id) == ("user",)
    assert await api(roles.has_role, eve.id, "admin") is False
    assert (await api(sessions.validate, opened.token, roles=True)).roles == {"user"}


def test_no_operation_of_an_account_takes_a_role() -> None:
    """But those of this module."""
    for module in (users, passwords, sessions, accounts, identities, otps, devices):
        assert any(hasattr(operation, "__wrapped__") for operation in vars(module).values())
        for name, operation in vars(module).items():
            if hasattr(operation, "__wrapped__") and operation is not sessions.validate:
                taken = inspect.signature(operation).parameters.keys()
                assert not taken & {"role", "roles", "permission", "permissions"}, name


NAMES = {
    "a": True,
    "a-b_c9": True,
    "a:b": False,
    "a.b": False,
    "x" * 64: True,
    "x" * 65: False,
    "": False,
    "A": False,
    "Admin": False,
    "9a": False,
    "_a": False,
    "-a": False,
    "é": False,
    "a\u0301": False,
    "\uff41": False,
    "a b": False,
    "a\n": False,
    "a\0": False,
    " a": False,
    "a'": False,
    "\u0131": False,
}


@pytest.mark.parametrize("name", NAMES, ids=repr)
async def test_role_is_named_as_the_table_has_it(api: Api, sql: Sql, name: str) -> None:
    if NAMES[name]:
        assert await api(roles.create, name) is True
        return
    with pytest.raises(InvalidInput):
        await api(roles.create, name)
    with pytest.raises(Exception, match=r"(?i)check|data|charset|NUL|incorrect|too long"):
        sql("INSERT INTO authsql_roles (role) VALUES (%s)", name)


@pytest.mark.parametrize("name", [*NAMES, "x" * 100, "x" * 101, "a:b.c-d_9", "a:", ":a"], ids=repr)
async def test_permission_is_named_as_the_table_has_it(api: Api, sql: Sql, name: str) -> None:
    good = NAMES.get(name, False) or name in {"a:b", "a.b", "x" * 65, "x" * 100, "a:b.c-d_9", "a:"}
    if good:
        assert await api(roles.allow, "user", name) is True
        return
    with pytest.raises(InvalidInput):
        await api(roles.allow, "user", name)
    with pytest.raises(Exception, match=r"(?i)check|data|charset|NUL|incorrect|too long"):
        sql("INSERT INTO authsql_role_permissions (role, permission) VALUES ('user', %s)", name)


async def test_functions_in_sql_answer_alike(
    api: Api, sql: Sql, user: User, new_user: NewUser, editor: str
) -> None:
    deleted, stranger = await new_user(), await new_user()
    for each in (user, deleted):
        await api(roles.grant, each.id, editor)
    await api(users.soft_delete, deleted.id)
    yes = 0
    for user_id in (user.id, deleted.id, stranger.id, uuid4()):
        for name in ("editor", "user", "admin", "nobody"):
            found = sql.one("SELECT authsql_has_role(%s, %s)", user_id, name)
            assert bool(found) is await api(roles.has_role, user_id, name)
            yes += found
        for name in (READ, "invoices:write"):
            found = sql.one("SELECT authsql_has_permission(%s, %s)", user_id, name)
            assert bool(found) is await api(roles.has_permission, user_id, name)
            yes += found
    assert yes == 4
    assert not sql.one("SELECT authsql_has_role(NULL, 'user')")
    assert not sql.one("SELECT authsql_has_role(%s, NULL)", user.id)
    assert not sql.one("SELECT authsql_has_permission(NULL, %s)", READ)


async def test_view_of_permissions(api: Api, sql: Sql, user: User, new_user: NewUser, editor: str) -> None:
    await new_user()
    await api(roles.grant, user.id, editor)
    await api(roles.allow, "admin", READ)
    [(user_id, role, permission)] = sql("SELECT user_id, role, permission FROM authsql_user_permissions")
    assert (str(user_id), role, permission) == (str(user.id), editor, READ)


@pytest.mark.only("postgres")
async def test_search_path_of_a_caller_is_of_no_influence(api: Api, sql: Sql, user: User) -> None:
    sql("CREATE SCHEMA evil")
    sql("CREATE TABLE evil.authsql_user_roles AS SELECT id AS user_id, 'admin' AS role FROM authsql_users")
    sql("CREATE TABLE evil.authsql_role_permissions AS SELECT 'admin' AS role, 'a' AS permission")
    sql("CREATE FUNCTION evil.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    sql("CREATE OPERATOR evil.= (FUNCTION = evil.always, LEFTARG = text, RIGHTARG = text)")
    sql("SET search_path = evil, pg_catalog, public")
    assert sql.one("SELECT 'a'::text = 'b'::text") is True
    assert sql.one("SELECT authsql_has_role(%s, 'admin')", user.id) is False
    assert sql.one("SELECT authsql_has_permission(%s, 'a')", user.id) is False


async def test_validate_with_roles(api: Api, user: User, sign_in: SignIn, editor: str) -> None:
    opened = await sign_in()
    await api(roles.allow, "user", READ)
    await api(roles.allow, "user", "profile:edit")
    await api(roles.grant, user.id, editor)
    session = await api(sessions.validate, opened.token, roles=True)
    assert session.roles == {"editor", "user"}
    assert session.permissions == {READ, "profile:edit"}
    assert isinstance(session.roles, frozenset)
    assert isinstance(session.permissions, frozenset)
    assert session.id == opened.session.id
    assert hash(session)


async def test_validate_without_roles_says_that_it_did_not_ask(api: Api, sign_in: SignIn) -> None:
    opened = await sign_in()
    session = await api(sessions.validate, opened.token)
    assert session == opened.session
    assert session.roles is session.permissions is None
    assert await api(sessions.validate, opened.token, roles=False) == session
    assert opened.session.roles is opened.session.permissions is None
    [listed] = await api(sessions.list, session.user_id)
    assert listed == session


async def test_validate_of_who_has_no_roles(api: Api, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    await api(roles.revoke, user.id, "user")
    session = await api(sessions.validate, opened.token, roles=True)
    assert session.roles == session.permissions == frozenset()
    assert session.roles is not None


async def test_validate_with_many_roles(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    """More than MySQL's GROUP_CONCAT would give: it cuts at 1024 bytes, and says nothing."""
    opened = await sign_in()
    names = {f"{number:03}".replace("0", "a") + "x" * 60 for number in range(100)}
    names = {f"r{name}" for name in names}
    for name in names:
        sql("INSERT INTO authsql_roles (role) VALUES (%s)", name)
        sql("INSERT INTO authsql_role_permissions (role, permission) VALUES (%s, %s)", name, f"p:{name}")
        sql("INSERT INTO authsql_user_roles (user_id, role) VALUES (%s, %s)", user.id, name)
    session = await api(sessions.validate, opened.token, roles=True)
    assert session.roles == names | {"user"}
    assert session.permissions == {f"p:{name}" for name in names}


async def test_validate_with_roles_refuses_alike(api: Api, sql: Sql, sign_in: SignIn) -> None:
    revoked, expired = await sign_in(), await sign_in()
    await api(sessions.revoke, revoked.session.id, reason="sign_out")
    sql.age("authsql_sessions", ("created_at", "expires_at"), 8 * DAY, id=expired.session.id)
    refusal = refused(await api(sessions.validate, revoked.token, roles=True), Reason.REVOKED)
    assert refusal.detail == "sign_out"
    refused(await api(sessions.validate, expired.token, roles=True), Reason.EXPIRED)
    refused(await api(sessions.validate, "sess_" + "A" * 64, roles=True), Reason.UNKNOWN)
    refused(await api(sessions.validate, "x", roles=True), Reason.MALFORMED)


async def test_validate_with_roles_touches_alike(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    sql.elapse(HOUR)
    before = sql.dump()
    assert await api(sessions.validate, opened.token, roles=True, touch=False)
    assert sql.dump() == before
    session = await api(sessions.validate, opened.token, roles=True)
    assert sql.one("SELECT last_seen_at FROM authsql_sessions") > sql.from_sql(opened.session.created_at)
    assert session.last_seen_at > opened.session.last_seen_at
