/** What can speak at an endpoint. */
export type Service =
  | ZeroMqService
  | AmqpService
  | HttpService
  | EchoService
  | TlsService
  | BannerService;

/** A socket of ZeroMQ. */
export interface ZeroMqService {
  readonly protocol: "zmtp";
  /** Of ZMTP: 3.1, 3.0, 2.0 or 1.0. */
  readonly version: string;
  /** NULL, PLAIN, CURVE or another one; undefined where the version has none. */
  readonly mechanism?: string;
  /** PUB, REP and so on; undefined where only those who know each other are told. */
  readonly socketType?: string;
  /** The routing id, where it is set. */
  readonly identity?: Uint8Array;
  /** The subprotocol, where it is reached by a WebSocket. */
  readonly subprotocol?: string;
  /** Why it does not say more, in its own words. */
  readonly refusal?: string;
}

/** A broker. */
export interface AmqpService {
  readonly protocol: "amqp";
  /** 0-9-1, or the version that it wants instead. */
  readonly version: string;
  readonly product?: string;
  readonly productVersion?: string;
  readonly platform?: string;
  readonly cluster?: string;
  /** How one can log in. */
  readonly mechanisms: readonly string[];
  /** The capabilities that it has. */
  readonly capabilities: readonly string[];
}

/** A web server. */
export interface HttpService {
  readonly protocol: "http";
  /** `200 OK`, of `GET /`. */
  readonly status: string;
  readonly server?: string;
  /** Where it sends us. */
  readonly location?: string;
  /** Its words, where it refuses in plain text. */
  readonly says?: string;
  /** Whether there is a WebSocket, though none of ZeroMQ. */
  readonly webSocket?: boolean;
}

/** A server that sends back what it gets. */
export interface EchoService {
  readonly protocol: "echo";
}

/** TLS, and what is inside as far as it can be seen. */
export interface TlsService {
  readonly protocol: "tls";
  /** TLSv1.3, for example. */
  readonly version: string;
  readonly certificate: Certificate;
  /** Why the certificate is not to be trusted; undefined when it is. */
  readonly problem?: string;
  readonly inside?: Service;
}

/** Who a server is by its certificate. */
export interface Certificate {
  /** `CN=example.org, O=Example`. */
  readonly subject: string;
  readonly issuer: string;
  /** The names and addresses for which it holds. */
  readonly names: readonly string[];
  /** RFC 3339. */
  readonly validFrom: string;
  readonly validTo: string;
}

/** Whoever introduces itself by a line, or is known by what it answers. */
export interface BannerService {
  readonly protocol:
    | "ssh"
    | "smtp"
    | "ftp"
    | "imap"
    | "pop3"
    | "redis"
    | "memcached"
    | "nats"
    | "mysql"
    | "vnc";
  readonly says: string;
}
