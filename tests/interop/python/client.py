"""A client on the Python SDK over stdio. Each case prints one line; the exit status is 1 when one failed.

Usage: client.py --era legacy|modern|auto [--rounds N] -- COMMAND ARGS…
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

MODERN = "2026-07-28"
MODES = {"legacy": "legacy", "modern": MODERN, "auto": "auto"}
MIB = 1024 * 1024
SLOW_MS = 60_000


class Cases:
    """The cases that need a connection."""

    def __init__(self, client: Client, rounds: int) -> None:
        self.client = client
        self.rounds = rounds

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
        missing = {"echo", "progress", "slow"} - names
        check(not missing, f"missing tools: {missing}")

    async def echo(self, text: str) -> None:
        result = await self.client.call_tool("echo", {"text": text})
        check(len(result.content) == 1, f"{len(result.content)} pieces of content")
        check(result.content[0].text == text, "the text came back changed")

    async def progress(self, steps: int, delay_ms: int) -> None:
        seen: list[tuple[float, float | None]] = []

        async def on_progress(progress: float, total: float | None, _message: str | None) -> None:
            seen.append((progress, total))

        result = await self.client.call_tool(
            "progress", {"steps": steps, "delay_ms": delay_ms}, progress_callback=on_progress
        )
        check(result.content[0].text == "done", f"answered {result.content[0].text!r}")
        check(seen == [(step, steps) for step in range(1, steps + 1)], f"saw {len(seen)} of {steps}: {seen[:10]}")

    async def cancel(self) -> None:
        scope = anyio.CancelScope()
        answered = False

        async def slow() -> None:
            nonlocal answered
            with scope:
                await self.client.call_tool("slow", {"ms": SLOW_MS})
                answered = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            # `slow` is sent when the first call is back, and read by the server when the second one is.
            await self.echo("one")
            await self.echo("two")
            scope.cancel()
        check(scope.cancelled_caught and not answered, "the cancelled call ended with an answer")
        await self.echo("after")


async def run(era: str, rounds: int, command: list[str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="towpath-interop-") as directory:
        status = Path(directory, "status")
        # The shell keeps the server's exit status, which the SDK hides. It leaves none when the SDK had to kill it.
        server = StdioServerParameters(
            command="sh", args=["-c", '"$@"; echo $? >"$0"', str(status), *command], env=dict(os.environ)
        )
        try:
            async with Client(server, mode=MODES[era]) as client:
                wanted = (client.protocol_version == MODERN) == (era != "legacy")
                check(wanted, f"{client.protocol_version} was negotiated")
                report("connect")
                passed = await Cases(client, rounds).run()
        except Exception as error:
            return report("connect", error)
        found = status.read_text().strip() if status.exists() else "none: it had to be killed"
        ended = report("exit") if found == "0" else report("exit", RuntimeError(f"exit status {found}"))
        return passed and ended


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
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    sys.exit(not anyio.run(run, options.era, options.rounds, options.command))


main()
