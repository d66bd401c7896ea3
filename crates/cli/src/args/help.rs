//! The longer texts of `--help`.

pub(super) const CALL_EXAMPLES: &str = "\
Examples:
  towpath call -- npx -y @modelcontextprotocol/server-everything
  towpath call tools/call '{\"name\": \"echo\", \"arguments\": {\"message\": \"hi\"}}' -- ./server
  towpath call --era legacy --timeout 5m resources/list -- uvx my-server
  towpath call --env TOKEN --env MODE=test --cwd /srv prompts/list -- ./server --stdio
  towpath call --url http://127.0.0.1:8080/mcp
  towpath call --url unix:/run/user/1000/mcp.sock

Notifications that come before the result are printed to stderr, one line each.
";

pub(super) const SERVE_HELP: &str = "\
Over HTTP, requests of the stateless revisions (from 2026-07-28 on) share one process of the server; each session of the
older ones has a process of its own, which ends with it. What the server does not speak is refused, and the revisions are
named. On a socket (--listen unix:… or tcp:…) each connection has a process of its own, whatever revision it speaks.

Examples:
  towpath serve -- npx -y @modelcontextprotocol/server-everything
  towpath serve --port 9000 --path /tools --max-message-size 64MiB -- ./server --stdio
  towpath serve --listen unix:/run/user/1000/mcp.sock --env TOKEN -- ./server
  towpath serve --listen tcp:127.0.0.1:4000 -- ./server

There is no authentication, neither over HTTP nor on a socket. Whoever reaches the address may use the server: of a Unix
socket that is this user, of a loopback address everybody on this machine, of any other address everybody on the network.

Exit status:
    0  ended by SIGINT, SIGTERM or SIGHUP; nothing is left running
    2  the command line is wrong
    3  the server could not be started or connected, or the address is taken
    4  connections can no longer be accepted
";

pub(super) const CONNECT_HELP: &str = "\
Only the protocol is on stdout. Whatever the other side writes to stdin goes to the server, and the answers come back.

Examples:
  towpath connect https://example.org/mcp --header 'Authorization: Bearer …'
  towpath connect unix:/run/user/1000/mcp.sock
  towpath call -- towpath connect http://127.0.0.1:8080/mcp

Each request that cannot be passed on is answered with an error that says why; stderr says it, too, once for each reason.
When stdin ends, what was asked has 30 seconds more to be answered.

Exit status:
    0  stdin has ended, and every request was answered
    2  the command line is wrong
    3  HTTP could not be set up, or the socket could not be connected to
    4  the connection was lost, or stdin has ended and a request had no answer in time
    6  stdin could not be read, or stdout could not be written
  130  interrupted, by SIGINT, SIGTERM or SIGHUP
";

pub(super) const DEMO_HELP: &str = "\
Each payload carries a number of its own and is compared byte for byte when it comes back.

Exit status:
    0  nothing was lost, changed or left over
    1  something was: a call without an answer, a different byte, a process or a descriptor
    3  the example server could not be started or connected
  130  interrupted, by SIGINT, SIGTERM or SIGHUP
";
