/** The transports that an endpoint can name. */
export type Scheme = "tcp" | "ipc" | "inproc" | "tls" | "unix" | "udp" | "ws" | "wss";

/** A local address: an IP address, the name of a network interface, or `*` for any. */
export interface SourceAddress {
  /** An IP address, an interface's name, or `*`. */
  readonly host: string;
  /** The local port; 0 lets the system choose one. */
  readonly port: number;
}

/** An address with a host and a port, for TCP, TLS or UDP. */
export interface HostEndpoint {
  /** The transport. */
  readonly scheme: "tcp" | "tls" | "udp";
  /**
   * A host name or an IP address. When the endpoint is bound, it may also be `*`, for every interface, or the name of an
   * interface, for its address.
   */
  readonly host: string;
  /** The port; 0 binds any free port. */
  readonly port: number;
  /** The local address of a TCP connection, or the interface that UDP multicast uses. */
  readonly source?: SourceAddress;
}

/** The address of a WebSocket. */
export interface WebEndpoint {
  /** `ws` runs over TCP, `wss` over TLS. */
  readonly scheme: "ws" | "wss";
  /** As in `HostEndpoint`. */
  readonly host: string;
  /** The port; 0 binds any free port. */
  readonly port: number;
  /** The path with its leading slash. */
  readonly path: string;
}

/** The address of a Unix socket. */
export interface PathEndpoint {
  /** `ipc` and `unix` name the same sockets. */
  readonly scheme: "ipc" | "unix";
  /** A path in the file system, `@name` in Linux's abstract namespace, or `*` to bind a new path. */
  readonly path: string;
}

/** A name inside this process. */
export interface InprocEndpoint {
  /** The transport. */
  readonly scheme: "inproc";
  /** Any text that is not empty. */
  readonly name: string;
}

/** An address to bind or to connect to. */
export type Endpoint = HostEndpoint | WebEndpoint | PathEndpoint | InprocEndpoint;
