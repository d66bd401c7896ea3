"""A server on the Python SDK, over stdio, or over HTTP with `--port N`; one process serves legacy and modern clients."""

import argparse
import sys

import anyio
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("towpath-interop-py")


@server.tool(structured_output=False)
async def echo(text: str) -> str:
    """Answers its text."""
    return text


@server.tool(structured_output=False)
async def progress(steps: int, delay_ms: int, context: Context) -> str:
    """Sends progress notifications, then answers."""
    for step in range(1, steps + 1):
        if delay_ms > 0:
            await anyio.sleep(delay_ms / 1000)
        await context.report_progress(step, steps)
    return "done"


@server.tool(structured_output=False)
async def slow(ms: int, context: Context) -> str:
    """Answers after a while, unless cancelled."""
    try:
        await anyio.sleep(ms / 1000)
    except anyio.get_cancelled_exc_class():
        print(f"cancelled {context.request_id}", file=sys.stderr, flush=True)
        raise
    return "slept"


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
port = parser.parse_args().port
if port is None:
    server.run("stdio")
else:
    server.run("streamable-http", host="127.0.0.1", port=port)
