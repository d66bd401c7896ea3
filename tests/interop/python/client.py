"""A client on the Python SDK. Each case prints one line; the exit status is 1 when one failed.

Usage: client.py --era legacy|modern|auto [--rounds N] [--tools own|everything] (--url URL | -- COMMAND ARGS…)
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

MODERN = "2026-07-28"
MODES = {"legacy": "legacy", "modern": MODERN, "auto": "auto"}
MIB = 1024 * 1024
SLOW_MS = 60_000


Task = tuple[str, dict[str, Any], str]
"""A tool, its arguments, and the text that must come back."""


class OwnTools:
    """The tools of the servers that were made for these cases."""

    names = {"echo", "progress", "slow"}

    def echo(self, text: str) -> Task:
        return "echo", {"text": text}, text

    def progress(self, steps: int, delay_ms: int) -> Task:
        return "progress", {"steps": steps, "delay_ms": delay_ms}, "done"

    def slow(self) -> Task:
        return "slow", {"ms": SLOW_MS}, "slept"


class EverythingTools:
    """The tools of server-everything."""

    names = {"echo", "trigger-long-running-operation"}

    def echo(self, text: str) -> Task:
        return "echo", {"message": text}, f"Echo: {text}"

    def progress(self, steps: int, delay_ms: int) -> Task:
        return self.long_running(steps * delay_ms / 1000, steps)

    def slow(self) -> Task:
        return self.long_running(2, 1)  # it ignores cancellation, so its end must not be far

    def long_running(self, seconds: float, steps: int) -> Task:
        text = f"Long running operation completed. Duration: {seconds:g} seconds, Steps: {steps}."
        return "trigger-long-running-operation", {"duration": seconds, "steps": steps}, text


TOOLS = {"own": OwnTools(), "everything": EverythingTools()}


class Cases:
    """The cases that need a connection."""

    def __init__(self, client: Client, rounds: int, tools: OwnTools | EverythingTools) -> None:
        self.client = client
        self.rounds = rounds
        self.tools = tools

    async def run(self) -> bool:
        return all(
            [
                await self.case("list", self.list_tools),
                await self.case("echo-100B", lambda: self.echo("x" * 100)),
                await self.case("echo-1MiB", lambda: self.echo("0123456789abcdef" * (MIB // 16))),
                await self.case("progress", lambda: self.progress(20, 5)),
                await self.case("burst", lambda: self.progress(200, 0)),
                await self.case("cancel", self.cancel),
            ]
        )

    async def case(self, name: str, body: Callable[[], Awaitable[None]]) -> bool:
        try:
            for _ in range(self.rounds):
                await body()
        except Exception as error:
            return report(name, error)
        return report(name)

    async def list_tools(self) -> None:
        names = {tool.name for tool in (await self.client.list_tools()).tools}
        missing = self.tools.names - names
        check(not missing, f"missing tools: {missing}")

    async def echo(self, text: str) -> None:
        name, arguments, expected = self.tools.echo(text)
        result = await self.client.call_tool(name, arguments)
        check(len(result.content) == 1, f"{len(result.content)} pieces of content")
        check(result.content[0].text == expected, "the text came back changed")

    async def progress(self, steps: int, delay_ms: int) -> None:
        seen: list[tuple[float, float | None]] = []

        async def on_progress(progress: float, total: float | None, _message: str | None) -> None:
            seen.append((progress, total))

        name, arguments, expected = self.tools.progress(steps, delay_ms)
        result = await self.client.call_tool(name, arguments, progress_callback=on_progress)
        check(result.content[0].text == expected, f"answered {result.content[0].text!r}")
        check(seen == [(step, steps) for step in range(1, steps + 1)], f"saw {len(seen)} of {steps}: {seen[:10]}")

    async def cancel(self) -> None:
        scope = anyio.CancelScope()
        answered = False

        async def slow() -> None:
            nonlocal answered
            with scope:
                name, arguments, _ = self.tools.slow()
                await self.client.call_tool(name, arguments)
                answered = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            # `slow` is sent when the first call is back, and read by the server when the second one is.
            await self.echo("one")
            await self.echo("two")
            scope.cancel()
        check(scope.cancelled_caught and not answered, "the cancelled call ended with an answer")
        await self.echo("after")


async def run(options: argparse.Namespace) -> bool:
    if options.url:
        passed = await connect(options, options.url)
        return report("exit") and passed  # nothing but its own end is the client's to see
    with tempfile.TemporaryDirectory(prefix="towpath-interop-") as directory:
        status = Path(directory, "status")
        # The shell keeps the server's exit status, which the SDK hides. It leaves none when the SDK had to kill it.
        wrapped = ["-c", '"$@"; echo $? >"$0"', str(status), *options.command]
        passed = await connect(options, StdioServerParameters(command="sh", args=wrapped, env=dict(os.environ)))
        found = status.read_text().strip() if status.exists() else "none: it had to be killed"
        ended = report("exit") if found == "0" else report("exit", RuntimeError(f"exit status {found}"))
        return passed and ended


async def connect(options: argparse.Namespace, server: str | StdioServerParameters) -> bool:
    try:
        async with Client(server, mode=MODES[options.era]) as client:
            modern = client.protocol_version == MODERN
            wanted = options.era == "auto" or modern == (options.era == "modern")
            check(wanted, f"{client.protocol_version} was negotiated")
            report("connect")
            return await Cases(client, options.rounds, TOOLS[options.tools]).run()
    except Exception as error:
        return report("connect", error)


def check(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)


def report(name: str, error: Exception | None = None) -> bool:
    passed = error is None
    if passed:
        print(f"case {name} ok", flush=True)
    else:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"case {name} FAIL {reason}", flush=True)
    return passed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", choices=MODES, required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tools", choices=TOOLS, default="own")
    parser.add_argument("--url")
    parser.add_argument("command", nargs="*")
    sys.exit(not anyio.run(run, parser.parse_args()))


main()
