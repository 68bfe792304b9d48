import { createPrivateKey, X509Certificate } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { type AuthError, EndpointError, messageOf, MissingCertificateError } from "../errors.ts";
import { descriptorShortage } from "./descriptors.ts";
import type { SourceAddress } from "./endpoint_types.ts";
import { certificateFailure, ClientCertificates } from "./runtime/client_certificate.ts";
import { bound, describe, local, NodeStream, settle } from "./runtime/node.ts";
import { gatedByPause, pausesBelowTls } from "./runtime/tls_pause_workaround.ts";
import type { ByteStream, RawListener, TlsOptions } from "./stream.ts";
import type { TlsReload } from "./stream.ts";

/** Time limit for the TLS handshake of an accepted peer, in milliseconds. */
const HANDSHAKE_MS = 10_000;

/** Connects with TLS. The peer's certificate must match `host` unless `options.insecure` is set. */
export async function connectTls(
  host: string,
  port: number,
  servername: string,
  options: TlsOptions,
  signal: AbortSignal,
  source?: SourceAddress,
): Promise<ByteStream> {
  const { socket, tcp } = await dial(host, port, servername, options, signal, source);
  return new NodeStream(socket, undefined, "tls", pausesBelowTls ? tcp : undefined);
}

/** The identity of a peer, by its certificate. */
export interface PeerIdentity {
  /** `TLSv1.3`, for example. */
  readonly version: string;
  /** The certificate that the peer sent. */
  readonly certificate: X509Certificate;
  /** Why the certificate is not trusted here; undefined when it is. */
  readonly problem: string | undefined;
}

/** Connects to a peer without checking its certificate, and returns its identity. */
export async function inspectTls(
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<{ stream: ByteStream; identity: PeerIdentity }> {
  const { socket, tcp } = await dial(host, port, host, { insecure: true }, signal);
  const certificate = new X509Certificate(socket.getPeerCertificate(true).raw);
  const named = /^[\d.]+$|:/.test(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  const problem = socket.authorized
    ? named === undefined ? `it is not for ${host}` : undefined
    : String(socket.authorizationError);
  return {
    stream: new NodeStream(socket, undefined, "tls", pausesBelowTls ? tcp : undefined),
    identity: { version: socket.getProtocol() ?? "TLS", certificate, problem },
  };
}

async function dial(
  host: string,
  port: number,
  servername: string,
  options: TlsOptions,
  signal: AbortSignal,
  source?: SourceAddress,
): Promise<{ socket: tls.TLSSocket; tcp: net.Socket }> {
  options = options.reload?.current ?? options;
  checkPem(options);
  const tcp = net.connect({ host, port, noDelay: true, allowHalfOpen: true, ...local(source) });
  await settle(tcp, "connect", signal);
  const socket = tls.connect({
    socket: pausesBelowTls ? gatedByPause(tcp) : tcp,
    host,
    // An address is no server name (RFC 6066, 3).
    ...(/^[\d.]+$|:/.test(servername) ? {} : { servername }),
    rejectUnauthorized: !options.insecure,
    ...pem(options),
    allowHalfOpen: true,
  } as tls.ConnectionOptions);
  tcp.on("error", () => {}); // The TLS socket reports it, too.
  try {
    await settle(socket, "secureConnect", signal);
  } catch (error) {
    tcp.destroy();
    throw error;
  }
  return { socket, tcp };
}

/**
 * Listens with TLS; `options.cert` and `options.key` are needed.
 *
 * @param onRefused called when the certificate of a client is not accepted
 */
export function listenTls(
  host: string,
  port: number,
  backlog: number,
  given: TlsOptions,
  accept: (stream: ByteStream) => void,
  onRefused: (remote: string, error: AuthError) => void = () => {},
): Promise<RawListener> {
  const options = given.reload?.current ?? given;
  if (options.cert === undefined || options.key === undefined) {
    throw new MissingCertificateError("Cannot listen with TLS without a certificate and its key");
  }
  const door = new Door(options, given.requireClientCert ?? false, accept, onRefused);
  if (pausesBelowTls) return listenGated(host, port, backlog, options, given.reload, door);
  const server = tls.createServer(
    {
      ...pem(options),
      ...door.asking,
      allowHalfOpen: true,
      handshakeTimeout: HANDSHAKE_MS,
    } as tls.TlsOptions,
  );
  // Also a peer that does not finish the handshake has a descriptor.
  server.on("connection", (tcp) => void (descriptorShortage() && tcp.destroy()));
  server.on("secureConnection", (socket) => door.onSecure(door.clients, socket));
  server.on("tlsClientError", (error, socket) => door.onFailure(error, socket));
  return reloading(bound(server, { host, port, backlog }), given.reload, (fresh) => {
    door.renew(fresh);
    server.setSecureContext(pem(fresh));
  });
}

function listenGated(
  host: string,
  port: number,
  backlog: number,
  options: TlsOptions,
  reload: TlsReload | undefined,
  door: Door,
): Promise<RawListener> {
  let secureContext = tls.createSecureContext(pem(options));
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (tcp) => {
    // Also a peer that does not finish the handshake has a descriptor.
    if (descriptorShortage() !== undefined) return void tcp.destroy();
    const { remoteAddress, remotePort } = tcp;
    // A reload during the handshake must not mix the old authorities with the new ones.
    const { clients } = door;
    const socket = new tls.TLSSocket(
      gatedByPause(tcp) as net.Socket,
      { isServer: true, secureContext, ...door.asking, allowHalfOpen: true } as tls.TLSSocketOptions,
    );
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.on("error", (error) => door.onFailure(error, { remoteAddress, remotePort }));
    socket.once("secure", () => {
      clearTimeout(timer);
      door.onSecure(clients, socket, tcp);
    });
  });
  return reloading(bound(server, { host, port, backlog }), reload, (fresh) => {
    door.renew(fresh);
    secureContext = tls.createSecureContext(pem(fresh));
  });
}

/** Decides about the clients of a listener. */
class Door {
  /** The clients' certificates under the current authorities; undefined: the listener does not require any. */
  clients: ClientCertificates | undefined;
  #authorities: string | undefined;
  readonly #accept: (stream: ByteStream) => void;
  readonly #onRefused: (remote: string, error: AuthError) => void;

  /** @throws {EndpointError} the files are wrong, or clients cannot be verified */
  constructor(
    options: TlsOptions,
    requiresCertificates: boolean,
    accept: (stream: ByteStream) => void,
    onRefused: (remote: string, error: AuthError) => void,
  ) {
    this.clients = requiresCertificates ? new ClientCertificates() : undefined;
    this.#accept = accept;
    this.#onRefused = onRefused;
    this.renew(options);
  }

  /** The options of a server that asks clients for certificates, and ends the handshake without one. */
  get asking(): tls.CommonConnectionOptions {
    return this.clients === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
  }

  /** @throws {EndpointError} the files are wrong, or clients cannot be verified */
  renew(options: TlsOptions): void {
    checkPem(options);
    const { ca } = options;
    if (this.clients === undefined) return;
    // Without them, the runtime would trust those of the system, and so anyone with a public certificate.
    if (ca === undefined) {
      throw new EndpointError("Cannot verify the certificates of clients without certificate authorities");
    }
    if (ca === this.#authorities) return;
    parsePem("certificate authorities", () => parseAll(ca));
    this.clients = new ClientCertificates();
    this.#authorities = ca;
  }

  onSecure(clients: ClientCertificates | undefined, socket: tls.TLSSocket, below?: net.Socket): void {
    const stream = new NodeStream(socket, undefined, "tls", below);
    try {
      stream.peerCertificate = clients?.check(socket);
    } catch (error) {
      stream.close();
      return this.#onRefused(stream.remote, error as AuthError);
    }
    this.#accept(stream);
  }

  /** A failed handshake of one peer does not concern the others. Only a refused certificate is reported. */
  onFailure(error: Error, socket: Pick<net.Socket, "remoteAddress" | "remotePort">): void {
    const failure = this.clients === undefined ? undefined : certificateFailure(error);
    if (failure === undefined) return;
    this.#onRefused(describe("tls", socket.remoteAddress, socket.remotePort), failure);
  }
}

/** Replaces the certificates of a listener until it is closed. */
async function reloading(
  binding: Promise<RawListener>,
  reload: TlsReload | undefined,
  apply: (fresh: TlsOptions) => void,
): Promise<RawListener> {
  const { port, close } = await binding;
  const remove = reload?.add(apply);
  return {
    port,
    close() {
      remove?.();
      return close();
    },
  };
}

/** Checks the files before a peer connects, so that the error names the wrong one. */
function checkPem({ ca, cert, key }: TlsOptions): void {
  if (ca !== undefined) parsePem("certificate authorities", () => new X509Certificate(ca));
  const certificate = cert === undefined
    ? undefined
    : parsePem("certificate", () => new X509Certificate(cert));
  const privateKey = key === undefined ? undefined : parsePem("private key", () => createPrivateKey(key));
  if (certificate !== undefined && privateKey !== undefined && !certificate.checkPrivateKey(privateKey)) {
    throw new EndpointError("The private key does not belong to the certificate");
  }
}

/** Parses each certificate of a file; one that cannot be read makes the runtimes ignore others. */
function parseAll(text: string): void {
  const blocks = text.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----[^]*?-----END [A-Z0-9 ]*CERTIFICATE-----/g);
  for (const block of blocks ?? [text]) new X509Certificate(block);
}

function parsePem<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new EndpointError(`The ${what} cannot be read as PEM: ${messageOf(error)}`, { cause: error });
  }
}

function pem(options: TlsOptions): { ca?: string; cert?: string; key?: string } {
  return {
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
  };
}
