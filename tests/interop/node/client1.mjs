// A client on the TypeScript SDK 1.x, which speaks the legacy era only.
// Usage: node client1.mjs --era legacy [--rounds N] [--tools own|everything] (--url URL | -- COMMAND ARGS…)

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { runCases } from './cases.mjs';

await runCases(['legacy'], async (_era, { url, spawn }) => {
  const client = new Client({ name: 'towpath-interop-ts1', version: '1.0.0' });
  await client.connect(url ? new StreamableHTTPClientTransport(url) : new StdioClientTransport(spawn));
  return {
    client,
    callTool: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
  };
});
