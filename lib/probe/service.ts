/** The kinds of service that a probe recognises. */
export type Service =
  | ZeroMqService
  | AmqpService
  | MqttService
  | StompService
  | HttpService
  | EchoService
  | TlsService
  | BannerService;

/** A ZeroMQ socket. */
export interface ZeroMqService {
  /** The kind of service. */
  readonly protocol: "zmtp";
  /** The version of ZMTP: 3.1, 3.0, 2.0 or 1.0. */
  readonly version: string;
  /** NULL, PLAIN, CURVE or another mechanism; undefined if the version has none. */
  readonly mechanism?: string;
  /** PUB, REP and so on; undefined if the socket names its type only after authentication. */
  readonly socketType?: string;
  /** The routing id, if the socket has one. */
  readonly identity?: Uint8Array;
  /** The subprotocol, if the socket is reached over a WebSocket. */
  readonly subprotocol?: string;
  /** The reason that the socket gave for rejecting us. */
  readonly refusal?: string;
}

/** An AMQP broker. */
export interface AmqpService {
  /** The kind of service. */
  readonly protocol: "amqp";
  /** 0-9-1, or the version that the broker wants instead. */
  readonly version: string;
  /** The name of the product, such as `RabbitMQ`. */
  readonly product?: string;
  /** The version of the product. */
  readonly productVersion?: string;
  /** The platform, such as `Erlang/OTP 25`. */
  readonly platform?: string;
  /** The name of the cluster. */
  readonly cluster?: string;
  /** The SASL mechanisms for logging in. */
  readonly mechanisms: readonly string[];
  /** The names of the capabilities that the broker has. */
  readonly capabilities: readonly string[];
}

/** An MQTT broker. */
export interface MqttService {
  /** The kind of service. */
  readonly protocol: "mqtt";
  /** The highest version that it speaks: 5.0 or 3.1.1. */
  readonly version: string;
  /** Whether clients must log in; undefined when the broker refused us for another reason. */
  readonly login?: boolean;
  /** Why the broker refused us. */
  readonly refusal?: string;
}

/** A STOMP broker. */
export interface StompService {
  /** The kind of service. */
  readonly protocol: "stomp";
  /** The highest version that it speaks: 1.0, 1.1 or 1.2; undefined if it says so only after a login. */
  readonly version?: string;
  /** The name and the version of the product, such as `RabbitMQ/3.10.8`. */
  readonly server?: string;
  /** Whether clients must log in; undefined when the broker refused us for another reason. */
  readonly login?: boolean;
  /** Why the broker refused us. */
  readonly refusal?: string;
}

/** A web server. */
export interface HttpService {
  /** The kind of service. */
  readonly protocol: "http";
  /** The status of `GET /`, such as `200 OK`. */
  readonly status: string;
  /** The `Server` header. */
  readonly server?: string;
  /** The `Location` header: where the server redirects. */
  readonly location?: string;
  /** The first line of a refusal in plain text. */
  readonly says?: string;
  /** Whether the server has a WebSocket that does not speak ZeroMQ. */
  readonly webSocket?: boolean;
}

/** A server that sends back the bytes that it receives. */
export interface EchoService {
  /** The kind of service. */
  readonly protocol: "echo";
}

/** A server with TLS, and the service inside. */
export interface TlsService {
  /** The kind of service. */
  readonly protocol: "tls";
  /** TLSv1.3, for example. */
  readonly version: string;
  /** The server's certificate. */
  readonly certificate: Certificate;
  /** Why the certificate is not trusted; undefined when it is. */
  readonly problem?: string;
  /** The service inside of TLS, if it was recognised. */
  readonly inside?: Service;
}

/** The certificate of a server. */
export interface Certificate {
  /** `CN=example.org, O=Example`. */
  readonly subject: string;
  /** The subject of the authority that signed it. */
  readonly issuer: string;
  /** The host names and addresses that it is valid for. */
  readonly names: readonly string[];
  /** RFC 3339. */
  readonly validFrom: string;
  /** RFC 3339. */
  readonly validTo: string;
}

/** A server that introduces itself by a line of text, or that is known by its answer. */
export interface BannerService {
  /** The kind of service. */
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
  /** The first line that the server sent. */
  readonly says: string;
}
