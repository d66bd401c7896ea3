// The cases that every Node client runs against a server whose tools are known. Each prints one line; the exit status
// is 1 when one of them failed.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';

const KIB = 1024;
const SLOW_MS = 60_000;

/** How each kind of server is asked: the tool, its arguments, and the text that must come back. */
const TOOLS = {
  own: {
    names: ['echo', 'progress', 'slow'],
    echo: (text) => ['echo', { text }, text],
    progress: (steps, delay_ms) => ['progress', { steps, delay_ms }, 'done'],
    slow: () => ['slow', { ms: SLOW_MS }],
  },
  everything: {
    names: ['echo', 'trigger-long-running-operation'],
    echo: (message) => ['echo', { message }, `Echo: ${message}`],
    progress: (steps, delay_ms) => longRunning((steps * delay_ms) / 1000, steps),
    slow: () => longRunning(2, 1), // it ignores cancellation, so its end must not be far
  },
};

function longRunning(duration, steps) {
  const text = `Long running operation completed. Duration: ${duration} seconds, Steps: ${steps}.`;
  return ['trigger-long-running-operation', { duration, steps }, text];
}

/**
 * Runs all cases. `connect(era, target)` connects to the server at `target.url`, or starts one from the stdio
 * parameters `target.spawn`, and gives `{ client, callTool }`, where `callTool(name, args, options)` hides the
 * difference between the SDKs' signatures.
 */
export async function runCases(eras, connect) {
  const { values, positionals: command } = parseArgs({
    options: {
      era: { type: 'string' },
      rounds: { type: 'string', default: '1' },
      tools: { type: 'string', default: 'own' },
      url: { type: 'string' },
    },
    allowPositionals: true,
  });
  assert(eras.includes(values.era), `--era is one of ${eras.join(', ')}`);
  assert(values.url || command.length > 0, 'the command of the server follows --, or --url names it');

  const directory = await mkdtemp(join(tmpdir(), 'towpath-interop-'));
  try {
    await new Cases(connect, values, command, join(directory, 'status')).run();
  } finally {
    await rm(directory, { recursive: true });
  }
  process.exit(); // a server that the SDK could not end holds the pipes open: not a reason to wait
}

class Cases {
  #errors = [];

  constructor(connect, { era, rounds, tools, url }, command, statusFile) {
    Object.assign(this, { connect, era, url, command, statusFile, rounds: Number(rounds), tools: TOOLS[tools] });
  }

  async run() {
    if (!(await this.#case('connect', () => this.#connect()))) {
      return;
    }
    await this.#case('list', () => this.#list());
    await this.#case('echo-100B', () => this.#echo('x'.repeat(100)));
    await this.#case('echo-1MiB', () => this.#echo('0123456789abcdef'.repeat(64 * KIB)));
    await this.#case('progress', () => this.#progress(20, 5));
    await this.#case('burst', () => this.#progress(200, 0));
    await this.#case('cancel', () => this.#cancel());
    await this.#case('exit', () => this.#exit());
  }

  async #case(name, body) {
    const rounds = ['connect', 'exit'].includes(name) ? 1 : this.rounds;
    try {
      for (let round = 0; round < rounds; round++) {
        this.#errors = [];
        await body();
        assert(this.#errors.length === 0, `the SDK reported: ${this.#errors[0]}`);
      }
      console.log(`case ${name} ok`);
      return true;
    } catch (error) {
      console.log(`case ${name} FAIL ${oneLine(error)}`);
      process.exitCode = 1;
      return false;
    }
  }

  async #connect() {
    // The shell keeps the server's exit status, which the SDKs hide. It leaves none when the SDK
    // had to kill it.
    const spawn = {
      command: 'sh',
      args: ['-c', '"$@"; echo $? >"$0"', this.statusFile, ...this.command],
      env: process.env,
      stderr: 'inherit',
    };
    const target = this.url ? { url: new URL(this.url) } : { spawn };
    const { client, callTool } = await this.connect(this.era, target);
    await rm(this.statusFile, { force: true }); // of a process that was only asked for its era
    client.onerror = (error) => this.#errors.push(error.message);
    Object.assign(this, { client, callTool, transport: client.transport });
  }

  async #list() {
    const { tools } = await this.client.listTools();
    const names = tools.map((tool) => tool.name);
    for (const name of this.tools.names) {
      assert(names.includes(name), `tool ${name} is missing from ${names.join(', ')}`);
    }
  }

  async #echo(text) {
    const [name, args, expected] = this.tools.echo(text);
    const result = await this.callTool(name, args);
    assert.equal(result.content.length, 1);
    assert(result.content[0].text === expected, 'the text came back changed');
  }

  /**
   * What must be complete is the wire. The SDKs hand a notification on one microtask later than an
   * answer and drop those that are read together with their answer, so a callback may see fewer.
   */
  async #progress(steps, delay_ms) {
    const deliver = this.transport.onmessage;
    const wire = [];
    const seen = [];
    this.transport.onmessage = (message, extra) => {
      if ('result' in message || message.method === 'notifications/progress') {
        wire.push(message);
      }
      deliver(message, extra);
    };
    try {
      const onprogress = ({ progress }) => seen.push(progress);
      const [name, args, expected] = this.tools.progress(steps, delay_ms);
      const result = await this.callTool(name, args, { onprogress });
      assert.equal(result.content[0].text, expected);
    } finally {
      this.transport.onmessage = deliver;
    }
    await new Promise(setImmediate);
    this.#errors = this.#errors.filter((error) => !error.includes('progress notification for an unknown token'));

    const answer = wire.pop();
    assert('result' in answer, 'a notification came after the answer');
    const progressToken = answer.id; // these SDKs use the id of the request
    const sent = wire.map(({ params }) => [params.progressToken, params.progress, params.total]);
    const expected = Array.from({ length: steps }, (_, step) => [progressToken, step + 1, steps]);
    assert(isDeepStrictEqual(sent, expected), `${sent.length} of ${steps} before the answer: ${JSON.stringify(sent)}`);
    assert(
      seen.every((progress, index) => progress === index + 1),
      `the callback saw ${seen}`,
    );
    assert(delay_ms === 0 || seen.length > 0, 'no notification reached the callback');
  }

  async #cancel() {
    const cancel = new AbortController();
    const ended = this.callTool(...this.tools.slow().slice(0, 2), { signal: cancel.signal }).then(
      () => 'an answer',
      (error) => error,
    );
    // The SDK has sent `slow` when the first call is back, and the server has read it when the
    // second one is.
    await this.#echo('one');
    await this.#echo('two');
    cancel.abort('not wanted any more');
    assert.match(String(await ended), /not wanted any more/);
    await this.#echo('after');
  }

  async #exit() {
    if (this.url) {
      await this.transport.terminateSession?.(); // what a server without sessions answers is the SDK's to know
      return this.client.close();
    }
    await this.client.close();
    const status = await readFile(this.statusFile, 'utf8').catch(() => 'none: it had to be killed');
    assert(status.trim() === '0', `exit status ${status.trim()}`);
  }
}

function oneLine(error) {
  return String(error.message ?? error)
    .replaceAll(/\s+/g, ' ')
    .slice(0, 300);
}
