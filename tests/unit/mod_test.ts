/** Checks the public interface of the library, mod.ts: what it exports, its documentation, and its use by a program. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import * as mod from "../../mod.ts";
import { tempDir } from "../support/helpers.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MOD = new URL("../../mod.ts", import.meta.url).href;
const DENO_ONLY = { skip: "deno" in process.versions ? false : "Deno only: it runs deno doc and deno check" };

/** The values that mod.ts exports. */
const VALUES = `
AddressInUseError AmqpError AuthError AwayError Batch CertificateError Client ClosedError Dealer Decimal Dish Duplex
EndpointError HandshakeTimeoutError IncompatiblePeerError LimitError MissingCertificateError MqcatError Pair
ProtocolError Pub Pull Push Radio Receiver RefusedError Rep Req RoundRobinSocket RoutedSocket Router Sender
Server Socket Sub TestClock Timestamp TlsReload TypedNumber UnreachableError XPub XSub allowKeys allowUsers connect
connectAmqp connectEcho curveClient curveServer decodeZ85 encodeZ85 formatEndpoint formatKeyFile forward
generateKeyPair listen nullMechanism openBroker parseEndpoint parseKeyFile parseUsers plainClient
plainServer probe publishTo pull pushTo reply requestTo serveEcho subscribe
`.trim().split(/\s+/);

/** The types that mod.ts exports. */
const TYPES = `
AmqpClient AmqpConsumer AmqpErrorOptions AmqpErrorScope AmqpEvent AmqpMessage AmqpOptions AmqpRoute
AmqpService AmqpWaitOptions Asker Asking BannerService BasicProperties BatchConsumer BrokerEvent BrokerFaults
BrokerOptions ByteStream CertLoginFrom Certificate Clock ClusterOptions ConnectOptions ConsumeOptions CurveClientOptions CurveKey
CurveKeyPair CurveServerOptions EchoClient EchoClientOptions EchoServer EchoServerEvent EchoServerOptions
EchoService EmbeddedBroker Endpoint ErrorCode ExchangeOptions FanOutOptions FieldTable FieldValue Finding
Forwarding FrameStream HeartbeatTimes HostEndpoint HttpService Incoming IncomingRequest InprocEndpoint
Inspector KeyFile KeyPair Listener Mechanism MqttService NumberLetter Outgoing PathEndpoint PatternMessage
PatternMessageOptions PatternPullOptions PatternReplyOptions PatternRequestOptions PatternSendOptions
PatternService PatternSubscribeOptions PatternWaitOptions Peer PlainUsers ProbeOptions ProbingOptions
PubOptions PublishOptions Publishing PulledMessage Pushing QueueOptions QueueState QueuedMessage RadioOptions ReqOptions
RequestHandler RouterOptions Service SocketEvent SocketOptions SocketType SourceAddress StompService
StreamSink SyncMode TestClockOptions Timer TlsOptions TlsService TransportOptions WaitOptions WebEndpoint WebOptions XPubOptions
XSubOptions ZapHandler ZapOptions ZapReply ZapRequest ZeroMqService
`.trim().split(/\s+/);

/** Public class -> the inherited methods that a user needs. */
const INHERITED: Record<string, readonly string[]> = {
  Pull: ["bind", "connect", "unbind", "disconnect", "receive", "consume", "close"],
  Push: ["bind", "connect", "unbind", "disconnect", "send", "sendBatch", "close"],
  Dealer: ["bind", "connect", "send", "sendBatch", "receive", "consume", "close"],
  Rep: ["bind", "connect", "receive", "close"],
};

/** Members of the implementation, which no public type may show. */
const INTERNAL = [
  "onBatch",
  "onSubscription",
  "onGroup",
  "onWritable",
  "connections",
  "catalog",
  "journal",
  "vhosts",
];

interface Member {
  readonly name: string;
  readonly accessibility?: string;
}

interface Declaration {
  readonly kind: string;
  readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly { readonly kind: string }[] };
  readonly def?: {
    readonly extends?: unknown;
    readonly methods?: readonly Member[];
    readonly properties?: readonly Member[];
  };
}

let cached: Map<string, readonly Declaration[]> | undefined;

/** The exported symbols of mod.ts and their declarations, from `deno doc --json`. */
function documentation(): ReadonlyMap<string, readonly Declaration[]> {
  return cached ??= readDocumentation();
}

function readDocumentation(): Map<string, readonly Declaration[]> {
  const { nodes } = JSON.parse(deno(["doc", "--json", "mod.ts"], ROOT)) as {
    nodes: Record<string, { symbols: { name: string; declarations: readonly Declaration[] }[] }>;
  };
  return new Map(nodes[MOD]!.symbols.map(({ name, declarations }) => [name, declarations]));
}

/** Runs Deno and returns its output; a non-zero exit code fails the test. */
function deno(args: string[], cwd: string): string {
  const env = { ...process.env, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  assert.equal(status, 0, `deno ${args.join(" ")}\n${stderr}${stdout.slice(0, 10_000)}`);
  return stdout;
}

/** The names of the methods of a class, those of its exported base classes included. */
function membersOf(symbols: ReadonlyMap<string, readonly Declaration[]>, name: string): string[] {
  const found: string[] = [];
  for (let at: unknown = name; typeof at === "string";) {
    const def: Declaration["def"] = symbols.get(at)?.[0]?.def;
    found.push(...def?.methods?.map((method) => method.name) ?? []);
    at = def?.extends;
  }
  return found;
}

describe("mod.ts", () => {
  it("exports - the values are those of the list", () => {
    assert.deepEqual(Object.keys(mod).sort(), VALUES);
  });

  it("exports - the types are those of the list", DENO_ONLY, () => {
    const types = [...documentation().keys()].filter((name) => !(name in mod));
    assert.deepEqual(types.sort(), TYPES);
  });

  it("documentation - deno doc --lint finds nothing", DENO_ONLY, () => {
    deno(["doc", "--lint", "mod.ts"], ROOT);
  });

  it("documentation - every exported class and function has an example", DENO_ONLY, () => {
    const without = [...documentation()].filter(([, declarations]) => {
      const isCode = declarations.some(({ kind }) => kind === "class" || kind === "function");
      return isCode && !declarations.some(({ jsDoc }) => jsDoc?.tags?.some(({ kind }) => kind === "example"));
    });
    assert.deepEqual(without.map(([name]) => name), []);
  });

  it(
    "documentation - a class names the methods that it inherits, and its base classes are exported",
    DENO_ONLY,
    () => {
      const symbols = documentation();
      for (const [name, methods] of Object.entries(INHERITED)) {
        const members = membersOf(symbols, name);
        assert.deepEqual(methods.filter((method) => !members.includes(method)), [], name);
        const [declaration] = symbols.get(name)!;
        const own = declaration!.def?.methods?.map((method) => method.name) ?? [];
        const text = declaration!.jsDoc?.doc ?? "";
        assert.deepEqual(
          methods.filter((method) => !own.includes(method) && !text.includes(`\`${method}\``)),
          [],
          name,
        );
      }
    },
  );

  it("documentation - no public type shows the implementation", DENO_ONLY, () => {
    const symbols = documentation();
    const shown = [...symbols].flatMap(([name, declarations]) =>
      declarations.flatMap(({ def }) => [...def?.methods ?? [], ...def?.properties ?? []])
        .filter((member) => member.accessibility === "protected" || INTERNAL.includes(member.name))
        .map((member) => `${name}.${member.name}`)
    );
    assert.deepEqual(shown, []);
  });

  it("types - a program with the compiler's default options passes deno check", DENO_ONLY, () => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("deno.json"), "{}");
    const source = `import * as mqcat from ${JSON.stringify(MOD)};
await using pull = new mqcat.Pull();
const frames: Uint8Array[] | undefined = await pull.receive({ signal: AbortSignal.timeout(1) });
console.log(frames);
`;
    fs.writeFileSync(dir.file("program.ts"), source);
    deno(["check", "program.ts"], dir.path);
  });
});
