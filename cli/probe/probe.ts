/** Renders the finding of a probe for people and for programs, with the commands to try next. */
import { Buffer } from "node:buffer";
import type { Finding } from "../../lib/probe/probe.ts";
import type {
  MqttService,
  Service,
  StompService,
  TlsService,
  ZeroMqService,
} from "../../lib/probe/service.ts";

/** The command that talks to a socket of each type: its usual direction, and options that follow the endpoint. */
const PARTNERS: Record<string, readonly [command: string, usual: "bind" | "connect", more?: string]> = {
  PUB: ["sub", "connect"],
  XPUB: ["sub", "connect"],
  SUB: ["pub", "bind"],
  XSUB: ["pub", "bind"],
  PUSH: ["pull", "bind"],
  PULL: ["push", "connect"],
  REP: ["req", "connect", " -D hello"],
  ROUTER: ["req", "connect", " -D hello"],
  REQ: ["rep", "bind", " --echo"],
  DEALER: ["rep", "bind", " --echo"],
  PAIR: ["pair", "connect"],
  RADIO: ["dish", "bind"],
  DISH: ["radio", "connect"],
  SERVER: ["client", "connect"],
  CLIENT: ["server", "bind"],
};

/** Renders a finding as lines for people. */
export function findingText(finding: Finding): string {
  const lines = [`${finding.endpoint}: ${headline(finding)}`];
  if (finding.outcome === "identified") lines.push(...details(finding.service).map((line) => `  ${line}`));
  lines.push(...nextSteps(finding).map((step) => `  try: ${step}`));
  // Most of the text comes from the peer.
  return `${lines.map((line) => line.replaceAll(/\p{Cc}/gu, "?")).join("\n")}\n`;
}

/** Renders a finding as one JSON record. */
export function findingRecord(finding: Finding): Record<string, unknown> {
  const next = nextSteps(finding);
  const { outcome, endpoint } = finding;
  const found = finding.outcome === "identified" ? serviceRecord(finding.service) : { ...finding };
  return { endpoint, outcome, ...found, ...(next.length === 0 ? {} : { try: next }) };
}

function serviceRecord(service: Service): Record<string, unknown> {
  if (service.protocol === "zmtp" && service.identity !== undefined) {
    const { identity, ...rest } = service;
    const text = utf8(identity);
    return text === undefined
      ? { ...rest, identity_base64: Buffer.from(identity).toString("base64") }
      : { ...rest, identity: text };
  }
  if (service.protocol === "tls" && service.inside !== undefined) {
    return { ...service, inside: serviceRecord(service.inside) };
  }
  return { ...service };
}

function headline(finding: Finding): string {
  switch (finding.outcome) {
    case "identified":
      return title(finding.service);
    case "unknown":
      return finding.says === undefined
        ? "a program listens, but closes each connection"
        : `an unknown service answers ${finding.says}`;
    case "silent":
      return finding.connected
        ? "a program listens, but does not answer in time"
        : "the connection is not answered in time (a firewall, or a host that is down)";
    case "refused":
      return finding.reason.replace(/^Cannot connect to \S+: /, "");
  }
}

function title(service: Service): string {
  switch (service.protocol) {
    case "zmtp": {
      const over = service.subprotocol === undefined ? "" : " on a WebSocket";
      if (service.socketType !== undefined) return `ZeroMQ, a ${service.socketType} socket${over}`;
      return `ZeroMQ, a socket that does not show its type${over}`;
    }
    case "amqp": {
      const product = [service.product, service.productVersion].filter((part) => part !== undefined).join(
        " ",
      );
      return `an AMQP broker${product === "" ? "" : `, ${product}`}`;
    }
    case "mqtt":
      return "an MQTT broker";
    case "stomp":
      return `a STOMP broker${service.server === undefined ? "" : `, ${service.server}`}`;
    case "http":
      return `a web server${service.server === undefined ? "" : `, ${service.server}`}`;
    case "echo":
      return "an echo server";
    case "tls":
      return `TLS${service.inside === undefined ? "" : `, and inside ${title(service.inside)}`}`;
    default:
      return `${NAMES[service.protocol]}, which says '${service.says}'`;
  }
}

const NAMES = {
  ssh: "an SSH server",
  smtp: "a mail server (SMTP)",
  ftp: "an FTP server",
  imap: "a mail server (IMAP)",
  pop3: "a mail server (POP3)",
  redis: "a Redis server",
  memcached: "a memcached server",
  nats: "a NATS server",
  mysql: "a MySQL server",
  vnc: "a VNC server",
};

function details(service: Service): string[] {
  switch (service.protocol) {
    case "zmtp":
      return zeroMqDetails(service);
    case "amqp":
      return [
        `AMQP ${service.version}${service.platform === undefined ? "" : `, on ${service.platform}`}`,
        ...(service.cluster === undefined ? [] : [`cluster ${service.cluster}`]),
        ...(service.mechanisms.length === 0 ? [] : [`logins: ${service.mechanisms.join(", ")}`]),
      ];
    case "mqtt":
    case "stomp":
      return loginDetails(service);
    case "http":
      return [
        `answers ${service.status}${service.says === undefined ? "" : `: ${service.says}`}`,
        ...(service.location === undefined ? [] : [`redirects to ${service.location}`]),
        ...(service.webSocket ? ["has a WebSocket that does not speak ZeroMQ"] : []),
      ];
    case "tls":
      return tlsDetails(service);
    default:
      return [];
  }
}

function loginDetails({ protocol, version, login, refusal }: MqttService | StompService): string[] {
  const name = protocol.toUpperCase();
  return [
    ...(version === undefined ? [] : [`${name} ${version}`]),
    ...(login === undefined ? [] : [login ? "needs a login" : "needs no login"]),
    ...(refusal === undefined ? [] : [`refuses: ${refusal}`]),
  ];
}

function zeroMqDetails({ version, mechanism, identity, subprotocol, refusal }: ZeroMqService): string[] {
  return [
    [
      subprotocol === undefined ? `ZMTP ${version}` : "ZWS 2.0",
      ...(mechanism === undefined ? [] : [`${mechanism} security`]),
    ].join(", "),
    ...(identity === undefined
      ? []
      : [`identity ${utf8(identity) ?? `0x${Buffer.from(identity).toString("hex")}`}`]),
    ...(refusal === undefined ? [] : [`refuses: ${refusal}`]),
  ];
}

function tlsDetails({ version, certificate, problem, inside }: TlsService): string[] {
  const { subject, issuer, names, validFrom, validTo } = certificate;
  return [
    version,
    `certificate of ${subject}${names.length === 0 ? "" : ` for ${names.join(", ")}`}`,
    `issued by ${issuer}`,
    `valid from ${validFrom.slice(0, 10)} to ${validTo.slice(0, 10)}`,
    ...(problem === undefined ? [] : [`not trusted: ${problem}`]),
    ...(inside === undefined ? [] : details(inside)),
  ];
}

/** Returns the commands to try next. */
function nextSteps(finding: Finding): string[] {
  const { endpoint } = finding;
  if (finding.outcome !== "identified") return [];
  const { service } = finding;
  switch (service.protocol) {
    case "zmtp":
      return zeroMqSteps(endpoint, service);
    case "amqp":
      return /^(tcp|tls):/.test(endpoint)
        ? [`mqcat queue list --url ${endpoint.replace(/^tcp:/, "amqp:")}`]
        : [];
    case "mqtt":
    case "stomp":
      return /^tcp:/.test(endpoint) ? brokerSteps(endpoint, service.protocol, service) : [];
    case "http":
      return /^(tcp|ws):/.test(endpoint) ? [`curl -i ${endpoint.replace(/^\w+:/, "http:")}`] : [];
    case "echo":
      return [`echo hello | mqcat echo-client ${endpoint}`];
    case "tls":
      return tlsSteps(endpoint, service);
    default:
      return [];
  }
}

/** Subscribes to everything, or to a topic of STOMP, which has no wildcard for all. */
function brokerSteps(endpoint: string, scheme: string, service: MqttService | StompService): string[] {
  const address = endpoint.replace(/^\w+:\/\//, "").replace(/\/.*/, "");
  const topic = service.protocol === "mqtt" ? "" : "/topic/TOPIC";
  return [`mqcat sub ${scheme}://${service.login === true ? "USER@" : ""}${address}${topic}`];
}

function zeroMqSteps(tcp: string, { mechanism, socketType, subprotocol }: ZeroMqService): string[] {
  const endpoint = subprotocol !== undefined && tcp.startsWith("tcp:")
    ? `${tcp.replace("tcp:", "ws:")}/`
    : tcp;
  const login = mechanism === "CURVE"
    ? " --curve-server-key KEY"
    : mechanism === "PLAIN"
    ? " --user NAME"
    : "";
  // The type of the socket is known only after authentication, so one command stands for all.
  const partner = PARTNERS[socketType ?? ""] ?? (login === "" ? undefined : PARTNERS["PUB"]);
  if (partner === undefined) return [];
  const [command, usual, more = ""] = partner;
  return [`mqcat ${command} ${usual === "bind" ? `'>${endpoint}'` : endpoint}${more}${login}`];
}

function tlsSteps(endpoint: string, { inside }: TlsService): string[] {
  const address = endpoint.replace(/^\w+:\/\//, "").replace(/\/.*/, "");
  switch (inside?.protocol) {
    case "amqp":
      return [`mqcat queue list --url amqps://${address}`];
    case "mqtt":
    case "stomp":
      return brokerSteps(endpoint, `${inside.protocol}s`, inside);
    case "http":
      return [`curl -i https://${address}`];
    case "echo":
      return [`echo hello | mqcat echo-client tls://${address}`];
    case "zmtp":
      return zeroMqSteps(`wss://${address}/`, inside);
    default:
      return [`openssl s_client -connect ${address}`];
  }
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
