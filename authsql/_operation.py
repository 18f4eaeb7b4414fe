"""The one body of an operation, driven over a synchronous or an asynchronous connection.

An operation is a generator of queries, and knows neither a driver nor a colour:

    @operation()
    def get(user_id: UUID) -> Steps[User | None]:
        row = (yield Query("users.get", {"id": user_id})).row
        return row and from_row(User, row)

Decorated, it is called with a connection before its own arguments: `users.get(conn, user_id)` returns the
user, and `await users.get(aconn, user_id)` does. Both are typed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import random
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from authsql._driver import Call, Compute, Driver, Query, driver_of
from authsql.errors import InvalidInput, Overtaken, RetryTransaction, TransactionOpen
from authsql.policy import DEFAULT, Policy

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

# What is sent in is a Result for a Query and whatever the function returns for a Compute.
Steps = Generator[Query | Compute, Any, R]

# Each conflict means that somebody else got through: of N callers, one needs N tries at the most.
_TRIES = 100


class SyncConnection(Protocol):
    """A connection whose methods return when they are done."""

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class PooledConnection(Protocol):
    """One of mysql-connector's pool, which passes everything on to the connection behind it."""

    @property
    def pool_name(self) -> str: ...

    def close(self) -> None: ...


class AsyncConnection(Protocol):
    """A connection whose methods are awaited."""

    def commit(self) -> Coroutine[Any, Any, None]: ...

    def rollback(self) -> Coroutine[Any, Any, None]: ...


class Operation(Protocol[P, R_co]):
    """A public operation: takes a connection first."""

    __name__: str
    __doc__: str | None

    @overload
    def __call__(
        self, conn: SyncConnection | PooledConnection, /, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...

    @overload
    def __call__(
        self, conn: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R_co]: ...


def operation(*, counted: bool = False) -> Callable[[Callable[P, Steps[R]]], Operation[P, R]]:
    """Make an operation of a generator of queries.

    counted: each of its statements is committed on its own, because what it counts has to outlive the
    caller's rollback. In an open transaction it raises TransactionOpen and does nothing.
    """

    def decorate(body: Callable[P, Steps[R]]) -> Operation[P, R]:
        @functools.wraps(body)
        def call(conn: object, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            if not isinstance(kwargs.get("policy", DEFAULT), Policy):
                raise InvalidInput("policy is a Policy")
            driver = driver_of(conn)
            steps = _drive(driver, body(*args, **kwargs), counted)
            return _run_async(driver, steps) if driver.is_async else _run(driver, steps)

        signature = inspect.signature(body)
        conn = inspect.Parameter("conn", inspect.Parameter.POSITIONAL_ONLY)
        returns = str(signature.return_annotation).removeprefix("Steps[").removesuffix("]")
        call.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by inspect, unknown to typing
            parameters=[conn, *signature.parameters.values()], return_annotation=returns
        )
        return cast("Operation[P, R]", call)

    return decorate


def _drive(driver: Driver, steps: Steps[R], counted: bool) -> Generator[Call | Compute, Any, R]:
    """Answer an operation's queries, minding the transaction that it is to run in."""
    if counted and driver.in_transaction:
        steps.close()
        raise TransactionOpen(TransactionOpen.__doc__)
    try:
        step = next(steps)
        while True:
            try:
                answer = (yield step) if isinstance(step, Compute) else (yield from _query(driver, step))
                if counted and driver.in_transaction:
                    yield driver.commit
            except GeneratorExit:
                raise
            # Whatever it is, the operation may want to know. Not errors alone: a signal's handler may have
            # raised KeyboardInterrupt or SystemExit, and a task may have been cancelled.
            except BaseException as error:  # noqa: BLE001
                if counted and driver.in_transaction:
                    # The error that led here is the one to tell, also where the connection is lost.
                    with contextlib.suppress(Exception):
                        yield driver.rollback
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        return cast("R", stop.value)


def _query(driver: Driver, query: Query) -> Generator[Call, Any, Any]:
    """Run a query; again if it lost to another one and no transaction of the caller's went with it."""
    alone = not driver.in_transaction
    for tries in range(1, _TRIES + 1):
        try:
            return (yield from driver.execute(query))
        except Exception as error:
            if driver.is_conflict(error):
                if alone and driver.in_transaction:
                    yield driver.rollback
                if alone and tries < _TRIES:
                    yield functools.partial(_pause, driver, tries)
                    continue
                raise RetryTransaction(RetryTransaction.__doc__) from error
            if (ours := driver.translate(error)) is not None:
                if isinstance(ours, Overtaken) and not alone:
                    raise RetryTransaction(RetryTransaction.__doc__) from error
                raise ours from error
            raise
    raise AssertionError("the last try returns or raises")


def _pause(driver: Driver, tries: int) -> Any:
    """Wait for a random time, longer with each try. Callers who come back at once take from each other the
    same locks again: in MySQL, of all who wait at one gap none may get through.
    """
    sleep = asyncio.sleep if driver.is_async else time.sleep
    return sleep(random.uniform(0, min(0.001 * 2**tries, 0.1)))  # noqa: S311  # no secret


def _run(driver: Driver, steps: Generator[Call | Compute, Any, R]) -> R:
    try:
        step = next(steps)
        while True:
            try:
                answer = step.function() if isinstance(step, Compute) else step()
            except BaseException as error:  # noqa: BLE001  # a signal's handler may raise any
                _interrupted(driver, step, error)
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        return cast("R", stop.value)
    finally:
        steps.close()


async def _run_async(driver: Driver, steps: Generator[Call | Compute, Any, R]) -> R:
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Compute):
                    answer = await asyncio.to_thread(step.function)
                else:
                    answer = step()
                    if inspect.isawaitable(answer):
                        answer = await answer
            except GeneratorExit:
                # Nobody waits for this any more, and nothing can be awaited.
                raise
            except BaseException as error:  # noqa: BLE001  # the task may have been cancelled
                _interrupted(driver, step, error)
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        return cast("R", stop.value)
    finally:
        steps.close()


def _interrupted(driver: Driver, step: Call | Compute, error: BaseException) -> None:
    """The answer may still be on its way, and must not be taken for that of the next statement."""
    if not isinstance(error, Exception) and not isinstance(step, Compute):
        driver.abandon()
