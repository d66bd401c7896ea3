// A server on the TypeScript SDK 2.x, over stdio, or over HTTP with `--port N`. One process serves legacy and modern
// clients: the SDK takes the era from what they send. Its legacy side over HTTP has no sessions.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { serve } from '@hono/node-server';
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const text = (text) => ({ content: [{ type: 'text', text }] });

function everything() {
  const server = new McpServer({ name: 'towpath-interop-ts2', version: '1.0.0' }, { capabilities: { tools: {} } });

  server.registerTool(
    'echo',
    { description: 'Answers its text', inputSchema: z.object({ text: z.string() }) },
    async (args) => text(args.text),
  );

  server.registerTool(
    'progress',
    {
      description: 'Sends progress notifications, then answers',
      inputSchema: z.object({ steps: z.number(), delay_ms: z.number() }),
    },
    async ({ steps, delay_ms }, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (let progress = 1; progress <= steps; progress++) {
        if (delay_ms > 0) {
          await sleep(delay_ms);
        }
        if (progressToken !== undefined) {
          await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: steps } });
        }
      }
      return text('done');
    },
  );

  server.registerTool(
    'slow',
    { description: 'Answers after a while, unless cancelled', inputSchema: z.object({ ms: z.number() }) },
    async ({ ms }, { mcpReq }) => {
      mcpReq.signal.addEventListener('abort', () => console.error(`cancelled ${mcpReq.id}`), { once: true });
      await sleep(ms, undefined, { signal: mcpReq.signal });
      return text('slept');
    },
  );

  return server;
}

const { values } = parseArgs({ options: { port: { type: 'string' } } });
const onerror = (error) => console.error(`error ${error.message}`);
if (values.port) {
  const handler = createMcpHandler(everything, { onerror });
  serve({ fetch: (request) => handler.fetch(request), hostname: '127.0.0.1', port: Number(values.port) });
} else {
  serveStdio(everything, { onerror });
}
