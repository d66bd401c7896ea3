// A client on the TypeScript SDK 2.x. `auto` asks a second, short-lived process for its era first.
// Usage: node client2.mjs --era legacy|modern|auto [--rounds N] [--tools own|everything] (--url URL | -- COMMAND ARGS…)

import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { runCases } from './cases.mjs';

const MODERN = '2026-07-28';
const MODES = { legacy: 'legacy', modern: { pin: MODERN }, auto: 'auto' };

await runCases(Object.keys(MODES), async (era, { url, spawn }) => {
  const client = new Client(
    { name: 'towpath-interop-ts2', version: '1.0.0' },
    { versionNegotiation: { mode: MODES[era] } },
  );
  await client.connect(url ? new StreamableHTTPClientTransport(url) : new StdioClientTransport(spawn));
  const modern = client.getNegotiatedProtocolVersion() === MODERN;
  assert(era === 'auto' || modern === (era === 'modern'), 'the era is not the one that was asked for');
  return {
    client,
    callTool: (name, args, options) => client.callTool({ name, arguments: args }, options),
  };
});
